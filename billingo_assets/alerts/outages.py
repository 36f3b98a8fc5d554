"""The table of outages: reads open ones, and stores decisions about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import Connection, text

from billingo_assets.alerts.channels import Message
from billingo_assets.alerts.decisions import Audience, Outage, Subject, plan
from billingo_assets.health.rules import Problem

_LOCK = text("LOCK TABLE billingo.outages IN SHARE ROW EXCLUSIVE MODE")
_NOT_CLOSED = text(
    """
    SELECT id, company_id, kind, severity, reason, summary, run_id,
           since, told_at, told_severity, told_reason, ended_at
    FROM billingo.outages WHERE end_told_at IS NULL ORDER BY id
    """
)
_INSERT = text(
    """
    INSERT INTO billingo.outages (company_id, kind, severity, reason, summary, run_id,
                                  since, told_at, told_severity, told_reason, ended_at, end_told_at)
    VALUES (:company_id, :kind, :severity, :reason, :summary, :run_id,
            :since, :reported_at, :reported_severity, :reported_reason, :ended_at, :closed_at)
    RETURNING id
    """
)
_UPDATE = text(
    """
    UPDATE billingo.outages
    SET severity = :severity, reason = :reason, summary = :summary, run_id = :run_id, since = :since,
        told_at = :reported_at, told_severity = :reported_severity, told_reason = :reported_reason,
        ended_at = :ended_at, end_told_at = :closed_at
    WHERE id = :id RETURNING id
    """
)
_LAST_SUCCESS = text("SELECT max(synced_at) FROM billingo.sync_state")
_DELETE_MESSAGES = text("DELETE FROM billingo.alert_messages WHERE created_at < :before")
_DELETE_OUTAGES = text("DELETE FROM billingo.outages WHERE ended_at < :before")


def lock_outages(connection: Connection) -> None:
    """Let one process at a time decide, until the transaction ends."""
    connection.execute(_LOCK)


def update_outages(
    connection: Connection, subjects: Iterable[Subject], now: datetime, *, audience: Audience | None
) -> list[Message]:
    """Bring the outages up to date with the present problems. Returns the messages to send.

    The messages are for the audience, and count as sent: write them down in the same transaction.
    """
    decided = plan(
        read_outages(connection), subjects, now, audience=audience, last_success=connection.scalar(_LAST_SUCCESS)
    )
    stored = {outage.key: _store(connection, outage) for outage in decided.outages}
    return [replace(report.message, outages=tuple(stored[key] for key in report.outages)) for report in decided.reports]


def read_outages(connection: Connection) -> list[Outage]:
    """Read every outage that is not closed, the oldest first."""
    return [
        Outage(
            id=row.id,
            company_id=row.company_id,
            problem=Problem(row.kind, row.severity, row.reason, row.summary, row.run_id),
            since=row.since,
            reported_at=row.told_at,
            reported_severity=row.told_severity,
            reported_reason=row.told_reason,
            ended_at=row.ended_at,
        )
        for row in connection.execute(_NOT_CLOSED)
    ]


def prune_outages(connection: Connection, before: datetime) -> int:
    """Delete outages that ended and messages written before a moment. Returns the number of messages."""
    messages = connection.execute(_DELETE_MESSAGES, {"before": before}).rowcount
    connection.execute(_DELETE_OUTAGES, {"before": before})
    return messages


def _store(connection: Connection, outage: Outage) -> int:
    """Insert or update an outage. Returns its id."""
    values = asdict(outage)
    values |= values.pop("problem")
    if outage.id is not None:
        connection.execute(_UPDATE, values)
        return outage.id
    stored: int = connection.execute(_INSERT, values).scalar_one()
    return stored
