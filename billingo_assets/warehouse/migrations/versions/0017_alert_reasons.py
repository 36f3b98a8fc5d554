"""Links each alert to the outages that it reports."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"

TABLE = """
CREATE TABLE billingo.alert_reasons (
    message_id BIGINT NOT NULL,
    outage_id BIGINT NOT NULL,
    CONSTRAINT alert_reasons_pkey PRIMARY KEY (message_id, outage_id),
    CONSTRAINT alert_reasons_message_id_fkey FOREIGN KEY(message_id)
        REFERENCES billingo.alert_messages (id) ON DELETE CASCADE,
    CONSTRAINT alert_reasons_outage_id_fkey FOREIGN KEY(outage_id) REFERENCES billingo.outages (id) ON DELETE CASCADE
);
COMMENT ON TABLE billingo.alert_reasons
    IS 'Why a message was sent: the outages that it reports, or reports as over';
COMMENT ON COLUMN billingo.alert_reasons.message_id IS 'alert_messages.id';
COMMENT ON COLUMN billingo.alert_reasons.outage_id IS 'outages.id';
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(TABLE)
