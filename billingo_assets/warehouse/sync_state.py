"""Reads and writes `sync_state`: what the last whole sync of a stream of a company vouches for."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from billingo_assets.normalize.numbering import NUMBER_RULES
from billingo_assets.streams import Stream
from billingo_assets.warehouse.tables import sync_state

Mode = Literal["full", "incremental"]


class SyncState(NamedTuple):
    """What a whole sync left: the clock at its start, its run, what the API counted at its end.

    `watermark` is None where the one that is stored cannot be a time of this program: nothing is vouched for.
    `unlisted` counts documents held beyond `api_total`: those that no listing shows and that were found by their
    number; with an accepted difference (`differences`), below 0 where Billingo counts documents that it does not show.
    """

    watermark: datetime | None
    run_id: str
    api_total: int
    mode: Mode = "full"
    unlisted: int = 0


def read_sync_state(connection: Connection, stream: Stream, company_id: int) -> SyncState | None:
    """The state of a stream of a company; None before its first whole sync."""
    query = text(
        """
        SELECT CASE WHEN watermark BETWEEN '2000-01-01' AND '9000-01-01' THEN watermark END,
               run_id, api_total, mode, unlisted
        FROM billingo.sync_state WHERE company_id = :company AND stream = :stream
        """
    )
    row = connection.execute(query, {"company": company_id, "stream": stream.name}).one_or_none()
    return None if row is None else SyncState(*row)


def last_synced_at(connection: Connection, stream: Stream, company_id: int) -> datetime | None:
    """When the last whole sync of a stream ended; None before its first."""
    query = select(sync_state.c.synced_at).where(
        sync_state.c.company_id == company_id, sync_state.c.stream == stream.name
    )
    ended: datetime | None = connection.scalar(query)
    return ended


def write_sync_state(connection: Connection, stream: Stream, company_id: int, state: SyncState) -> None:
    """Replace the state of a stream of a company.

    Belongs in the transaction that stores the last of what it vouches for.
    """
    values = {**state._asdict(), "number_rules": NUMBER_RULES, "synced_at": func.now()}
    if state.mode == "full":
        values["full_synced_at"] = func.now()
    statement = insert(sync_state).values(company_id=company_id, stream=stream.name, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["company_id", "stream"], set_=values))
