"""Keeps the bookkeeping of each stream by itself: until now, documents were the only one."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

# The pages of a listing refer to it by its key, which changes: they are let go and bound again.
CHANGES = """
ALTER TABLE billingo.listing_pages DROP CONSTRAINT listing_pages_company_id_fkey;
"""

KEYED = {
    "sync_state": "company_id, stream",
    "listings": "company_id, stream",
    "listing_pages": "company_id, stream, place",
    "listing_differences": "company_id, stream",
    "rejected_documents": "company_id, stream, content_hash",
}

KEY = """
ALTER TABLE billingo.{table} ADD COLUMN stream TEXT DEFAULT 'documents' NOT NULL;
ALTER TABLE billingo.{table}
    DROP CONSTRAINT {table}_pkey,
    ADD CONSTRAINT {table}_pkey PRIMARY KEY ({key});
COMMENT ON COLUMN billingo.{table}.stream IS 'The collection of Billingo that it concerns: documents';
"""

BOUND = """
ALTER TABLE billingo.listing_pages ADD CONSTRAINT listing_pages_company_id_fkey
    FOREIGN KEY (company_id, stream) REFERENCES billingo.listings (company_id, stream) ON DELETE CASCADE;
COMMENT ON TABLE billingo.sync_state IS 'The last complete sync of each stream of each company';
"""


def upgrade() -> None:
    """Add the stream to the keys."""
    op.execute(CHANGES)
    for table, key in KEYED.items():
        op.execute(KEY.format(table=table, key=key))
    op.execute(BOUND)
