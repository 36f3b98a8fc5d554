"""From when a company's syncs are expected: it was no business of `updated_at`, which a new API key moves too."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

# Not UPDATE: row-level security, which is forced, would decide which rows it sees.
CHANGES = """
ALTER TABLE billingo.companies ADD COLUMN expected_since TIMESTAMP WITH TIME ZONE;
ALTER TABLE billingo.companies
    ALTER COLUMN expected_since TYPE TIMESTAMP WITH TIME ZONE USING updated_at,
    ALTER COLUMN expected_since SET DEFAULT now(),
    ALTER COLUMN expected_since SET NOT NULL;
COMMENT ON COLUMN billingo.companies.expected_since
    IS 'Since when syncs are expected: it was added, enabled or given its rhythm';
"""


def upgrade() -> None:
    """Add the moment; of a company that is known, it is when that was last changed."""
    op.execute(CHANGES)
