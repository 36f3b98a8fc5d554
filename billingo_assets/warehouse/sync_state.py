"""Reads and writes `sync_state`: the result of the last complete sync of a company's stream."""

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
    """The result of a complete sync: the clock at its start, its run, the API's count at its end.

    `watermark` is None if the stored one is out of range. `unlisted` counts documents held beyond `api_total`: those
    that no listing shows and that were found by their number. With an accepted difference (`differences`), it is
    below 0 if Billingo counts documents that it does not show.
    """

    watermark: datetime | None
    run_id: str
    api_total: int
    mode: Mode = "full"
    unlisted: int = 0


def read_sync_state(connection: Connection, stream: Stream, company_id: int) -> SyncState | None:
    """The state of a company's stream; None before its first complete sync."""
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
    """When the last complete sync of a stream ended; None before its first."""
    query = select(sync_state.c.synced_at).where(
        sync_state.c.company_id == company_id, sync_state.c.stream == stream.name
    )
    ended: datetime | None = connection.scalar(query)
    return ended


def write_sync_state(connection: Connection, stream: Stream, company_id: int, state: SyncState) -> None:
    """Replace the state of a company's stream.

    Belongs in the transaction that stores the last records of the sync.
    """
    values = {**state._asdict(), "number_rules": NUMBER_RULES, "synced_at": func.now()}
    if state.mode == "full":
        values["full_synced_at"] = func.now()
    statement = insert(sync_state).values(company_id=company_id, stream=stream.name, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["company_id", "stream"], set_=values))
