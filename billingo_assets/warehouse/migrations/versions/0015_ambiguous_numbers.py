"""Keeps the numbers of which it is not known whether their series began again in a year."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"

TABLE = """
CREATE TABLE billingo.ambiguous_numbers (
    company_id INTEGER NOT NULL,
    block_id BIGINT NOT NULL,
    series TEXT NOT NULL,
    year INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    CONSTRAINT ambiguous_numbers_pkey PRIMARY KEY (company_id, block_id, series, year),
    CONSTRAINT ambiguous_numbers_company_id_fkey FOREIGN KEY(company_id) REFERENCES billingo.companies (id)
);
COMMENT ON COLUMN billingo.ambiguous_numbers.block_id IS 'Billingo''s id of the document block (number range)';
COMMENT ON COLUMN billingo.ambiguous_numbers.series IS 'A series of which it is not known whether it began again';
COMMENT ON COLUMN billingo.ambiguous_numbers.year IS 'In this year';
COMMENT ON COLUMN billingo.ambiguous_numbers.documents IS 'Documents of the year whose numbers are not judged';
"""

SECURE = """
ALTER TABLE billingo.ambiguous_numbers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY sync ON billingo.ambiguous_numbers TO billingo_sync USING (true) WITH CHECK (true);
CREATE POLICY readers ON billingo.ambiguous_numbers FOR SELECT TO billingo_reader USING (company_id = ANY (ARRAY(
    SELECT granted.company_id FROM billingo.company_readers AS granted
    JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    WHERE pg_catalog.pg_has_role(current_user, reader.oid, 'USAGE') AND NOT granted.masked
)));
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(TABLE)
    op.execute(SECURE)
