"""Reads and writes `listing_differences`: the differences between Billingo's count of a stream and its pages.

A company's stream has a row while they differ, or while a person has accepted a difference.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from billingo_assets.streams import Stream

_OBSERVE = text(
    """
    INSERT INTO billingo.listing_differences AS known
        (company_id, stream, difference, times, first_seen_at, last_seen_at)
    VALUES (:company, :stream, :difference, 1, now(), now())
    ON CONFLICT (company_id, stream) DO UPDATE SET
        times = CASE WHEN known.times > 0 AND known.difference IS NOT DISTINCT FROM excluded.difference
                     THEN known.times + 1 ELSE 1 END,
        first_seen_at = CASE WHEN known.times > 0 AND known.difference IS NOT DISTINCT FROM excluded.difference
                             THEN known.first_seen_at ELSE now() END,
        difference = excluded.difference,
        last_seen_at = now()
    RETURNING times
    """
)

_ACCEPT = text(
    """
    INSERT INTO billingo.listing_differences (company_id, stream, difference, times, accepted, accepted_at, accepted_by)
    VALUES (:company, :stream, :difference, 0, :difference, now(), :actor)
    ON CONFLICT (company_id, stream) DO UPDATE SET
        difference = excluded.difference, times = 0, accepted = excluded.accepted,
        accepted_at = excluded.accepted_at, accepted_by = excluded.accepted_by
    """
)

_FORGET = text(
    "DELETE FROM billingo.listing_differences WHERE company_id = :company AND stream = :stream AND accepted IS NULL"
)
_BACK_TO_ACCEPTED = text(
    """
    UPDATE billingo.listing_differences SET times = 0, difference = accepted
    WHERE company_id = :company AND stream = :stream
    """
)


class AcceptedDifference(NamedTuple):
    """How many more records Billingo counts than it shows (below 0: fewer), and who accepted that when."""

    difference: int
    at: datetime
    by: str


def observe_difference(connection: Connection, stream: Stream, company_id: int, difference: int | None) -> int:
    """Note the difference that a failed sync found (None: it kept changing). Returns how often in a row."""
    times: int = connection.execute(
        _OBSERVE, {"company": company_id, "stream": stream.name, "difference": difference}
    ).scalar_one()
    return times


def accept_difference(connection: Connection, stream: Stream, company_id: int, difference: int, *, actor: str) -> None:
    """Note that syncs are complete in spite of exactly this difference."""
    connection.execute(
        _ACCEPT, {"company": company_id, "stream": stream.name, "difference": difference, "actor": actor}
    )


def accepted_difference(connection: Connection, stream: Stream, company_id: int) -> AcceptedDifference | None:
    """The accepted difference of a company's stream, if there is one."""
    query = text(
        """
        SELECT accepted, accepted_at, accepted_by FROM billingo.listing_differences
        WHERE company_id = :company AND stream = :stream AND accepted IS NOT NULL
        """
    )
    row = connection.execute(query, {"company": company_id, "stream": stream.name}).one_or_none()
    return None if row is None else AcceptedDifference(*row)


def settle_difference(connection: Connection, stream: Stream, company_id: int) -> None:
    """Forget the observed difference after a complete sync. An accepted one stays."""
    for statement in (_FORGET, _BACK_TO_ACCEPTED):
        connection.execute(statement, {"company": company_id, "stream": stream.name})


def withdraw_difference(connection: Connection, stream: Stream, company_id: int) -> int | None:
    """Forget the observed and the accepted difference. Returns the accepted one."""
    query = text(
        "DELETE FROM billingo.listing_differences WHERE company_id = :company AND stream = :stream RETURNING accepted"
    )
    accepted: int | None = connection.scalar(query, {"company": company_id, "stream": stream.name})
    return accepted
