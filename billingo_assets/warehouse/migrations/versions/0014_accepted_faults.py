"""Keeps which documents in quarantine, and which totals that do not reconcile, somebody has accepted."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"

TABLE = """
CREATE TABLE billingo.accepted_faults (
    company_id INTEGER NOT NULL,
    check_name TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    document_id BIGINT,
    accepted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    accepted_by TEXT NOT NULL,
    CONSTRAINT accepted_faults_pkey PRIMARY KEY (company_id, check_name, content_hash),
    CONSTRAINT accepted_faults_company_id_fkey FOREIGN KEY(company_id) REFERENCES billingo.companies (id),
    CONSTRAINT accepted_faults_check_name_check CHECK (check_name IN ('no_rejected_documents', 'totals_reconcile'))
);
COMMENT ON COLUMN billingo.accepted_faults.check_name IS 'The check that no longer warns of the document';
COMMENT ON COLUMN billingo.accepted_faults.content_hash
    IS 'The content that was accepted; of any other the check warns';
COMMENT ON COLUMN billingo.accepted_faults.document_id IS 'NULL when the document has no usable id';
COMMENT ON COLUMN billingo.accepted_faults.accepted_by IS 'As in audit_log';
"""

SECURE = """
ALTER TABLE billingo.accepted_faults ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY sync ON billingo.accepted_faults TO billingo_sync USING (true) WITH CHECK (true);
CREATE POLICY readers ON billingo.accepted_faults FOR SELECT TO billingo_reader USING (company_id = ANY (ARRAY(
    SELECT granted.company_id FROM billingo.company_readers AS granted
    JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    WHERE pg_catalog.pg_has_role(current_user, reader.oid, 'USAGE') AND NOT granted.masked
)));
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(TABLE)
    op.execute(SECURE)
