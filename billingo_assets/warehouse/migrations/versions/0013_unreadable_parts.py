"""Which parts of a document could not be read, and whether enough is known of its totals to judge them."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

CHANGES = """
ALTER TABLE billingo.invoices ADD COLUMN unreadable TEXT, ADD COLUMN totals_judged BOOLEAN;
COMMENT ON COLUMN billingo.invoices.unreadable
    IS 'Columns that are NULL since what was sent for them could not be read, separated by commas';
COMMENT ON COLUMN billingo.invoices.totals_judged
    IS 'Whether enough is known of its totals to say that they agree, or do not';
CREATE INDEX invoices_unjudged_idx ON billingo.invoices (company_id) WHERE NOT totals_judged;
CREATE INDEX invoices_unreadable_idx ON billingo.invoices (company_id) WHERE unreadable IS NOT NULL;
"""


def upgrade() -> None:
    """Add the columns; the next sync of each company fills them."""
    op.execute(CHANGES)
