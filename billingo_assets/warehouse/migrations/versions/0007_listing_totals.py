"""The totals that a listing was told, so that a sync which goes on with it can judge them too."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

# TRUNCATE, not DELETE: row-level security, which is forced, would decide which rows it sees. Nobody knows any more what
# the listings that are under way were told, so that they begin again.
CHANGES = """
TRUNCATE billingo.listings CASCADE;
ALTER TABLE billingo.listings ADD COLUMN totals INTEGER[] DEFAULT '{}' NOT NULL;
COMMENT ON COLUMN billingo.listings.totals IS 'All totals that its later pages told';
"""


def upgrade() -> None:
    """Add the totals."""
    op.execute(CHANGES)
