"""When a gap in the numbers was last asked for, so that each has its turn."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

CHANGES = r"""
ALTER TABLE billingo.number_gaps ADD COLUMN asked_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN billingo.number_gaps.asked_at IS 'When Billingo was last asked for them by number';
"""


def upgrade() -> None:
    """Add the moment; every gap that is known counts as not asked for."""
    op.execute(CHANGES)
