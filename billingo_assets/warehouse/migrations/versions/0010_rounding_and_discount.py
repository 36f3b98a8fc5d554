"""To what a document is rounded, and its discount: what its totals are compared with."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

# A view that is replaced can only get columns at its end; it keeps its rights and comments.
CHANGES = """
ALTER TABLE billingo.invoices
    ADD COLUMN rounding TEXT,
    ADD COLUMN discount_type TEXT,
    ADD COLUMN discount_value NUMERIC;
COMMENT ON COLUMN billingo.invoices.rounding IS 'To what its total is rounded: none, one, five or ten';
COMMENT ON COLUMN billingo.invoices.discount_type IS 'In what `discount_value` is told: percent';
COMMENT ON COLUMN billingo.invoices.discount_value IS 'Discount on the whole document';

CREATE OR REPLACE VIEW billingo_masked.invoices WITH (security_barrier) AS
SELECT company_id, id, invoice_number, type, correction_type, cancelled, block_id, payment_status, payment_method,
       gross_total, net_total, vat_total, currency, conversion_rate, invoice_date, fulfillment_date, due_date,
       paid_date, partner_id, left(partner_name, 1) || '***' AS partner_name, online_szamla_status,
       net_total_local, vat_total_local, gross_total_local, language, electronic, notification_status, deleted_at,
       rounding, discount_type, discount_value
FROM billingo.invoices WHERE company_id = ANY (ARRAY(
    SELECT granted.company_id FROM billingo.company_readers AS granted
    JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    WHERE pg_catalog.pg_has_role(current_user, reader.oid, 'USAGE')
));
"""


def upgrade() -> None:
    """Add the columns; the next sync of each company fills them."""
    op.execute(CHANGES)
