"""Keeps the size of a listing's pages, so that a sync which goes on with it knows how many documents were read."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

CHANGES = """
ALTER TABLE billingo.listings ADD COLUMN page_size INTEGER DEFAULT 100 NOT NULL;
COMMENT ON COLUMN billingo.listings.page_size IS 'Documents that a page showed, in which next_page counts';
"""


def upgrade() -> None:
    """Add the size."""
    op.execute(CHANGES)
