"""Keeps by how much Billingo's count differs from what its pages show, and what somebody has accepted of it."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

TABLE = """
CREATE TABLE billingo.listing_differences (
    company_id INTEGER NOT NULL,
    difference INTEGER,
    times INTEGER NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    accepted INTEGER,
    accepted_at TIMESTAMP WITH TIME ZONE,
    accepted_by TEXT,
    CONSTRAINT listing_differences_pkey PRIMARY KEY (company_id),
    CONSTRAINT listing_differences_company_id_fkey FOREIGN KEY(company_id) REFERENCES billingo.companies (id)
);
COMMENT ON COLUMN billingo.listing_differences.difference
    IS 'Documents that Billingo counts beyond those its pages show; NULL where that did not hold still';
COMMENT ON COLUMN billingo.listing_differences.times IS 'Syncs in a row that found it and were not whole';
COMMENT ON COLUMN billingo.listing_differences.accepted IS 'The difference in spite of which syncs are whole';
COMMENT ON COLUMN billingo.listing_differences.accepted_by IS 'As in audit_log';
"""

SECURE = """
ALTER TABLE billingo.listing_differences ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY sync ON billingo.listing_differences TO billingo_sync USING (true) WITH CHECK (true);
CREATE POLICY readers ON billingo.listing_differences FOR SELECT TO billingo_reader USING (company_id = ANY (ARRAY(
    SELECT granted.company_id FROM billingo.company_readers AS granted
    JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    WHERE pg_catalog.pg_has_role(current_user, reader.oid, 'USAGE') AND NOT granted.masked
)));
"""

UNLISTED = """
COMMENT ON COLUMN billingo.sync_state.unlisted
    IS 'Documents held beyond api_total: no listing shows them, or a difference is accepted';
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(TABLE)
    op.execute(SECURE)
    op.execute(UNLISTED)
