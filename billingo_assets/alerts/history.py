"""Reads past alerts: the text of each, why it was sent, and how many channels have received it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_MESSAGES = text(
    """
    SELECT id, created_at, severity, title, body,
           (SELECT count(*) FROM billingo.alert_deliveries WHERE message_id = id AND delivered_at IS NOT NULL)
               AS delivered,
           (SELECT count(*) FROM billingo.alert_deliveries WHERE message_id = id AND delivered_at IS NULL) AS waiting
    FROM billingo.alert_messages AS message
    WHERE (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
      AND (CAST(:company AS integer) IS NULL OR EXISTS (
          SELECT FROM billingo.alert_reasons JOIN billingo.outages ON outages.id = outage_id
          WHERE message_id = message.id AND company_id = :company))
    ORDER BY id DESC LIMIT :most
    """
)
_REASONS = text(
    """
    SELECT message_id, key, kind, outages.severity, summary, since, ended_at, run_id
    FROM billingo.alert_reasons JOIN billingo.outages ON outages.id = outage_id
    LEFT JOIN billingo.companies ON companies.id = company_id
    WHERE message_id = ANY(:messages) ORDER BY message_id, outages.id
    """
)


@dataclass(frozen=True, slots=True)
class Reason:
    """An outage that a message reports. `company` is None if it concerns no single company."""

    company: str | None
    kind: str
    severity: str
    summary: str
    since: datetime
    ended_at: datetime | None
    run_id: str | None


@dataclass(frozen=True, slots=True)
class PastAlert:
    """A message, how many channels have received it and how many have not yet, and why it was sent.

    `reasons` is empty if the outages were pruned, or if the message is older than the record of reasons.
    """

    created_at: datetime
    severity: str
    title: str
    body: str
    delivered: int
    waiting: int
    reasons: tuple[Reason, ...]


def past_alerts(
    connection: Connection, *, company_id: int | None = None, since: datetime | None = None, most: int
) -> list[PastAlert]:
    """Return past alerts, the newest first; with `company_id`, only those about one company."""
    rows = connection.execute(_MESSAGES, {"company": company_id, "since": since, "most": most}).mappings().all()
    reasons = _reasons(connection, [row["id"] for row in rows])
    return [
        PastAlert(**{name: row[name] for name in row if name != "id"}, reasons=tuple(reasons.get(row["id"], ())))
        for row in rows
    ]


def _reasons(connection: Connection, messages: Sequence[int]) -> dict[int, list[Reason]]:
    found: dict[int, list[Reason]] = {}
    for message, *values in connection.execute(_REASONS, {"messages": list(messages)}):
        found.setdefault(message, []).append(Reason(*values))
    return found
