"""Reads and writes `sync_state`: what the last whole sync of a company vouches for."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from billingo_assets.warehouse.tables import sync_state


class SyncState(NamedTuple):
    """The clock at the start of the last whole sync, its run, and the documents the API counted at its end."""

    watermark: datetime
    run_id: str
    api_total: int


def read_sync_state(connection: Connection, company_id: int) -> SyncState | None:
    """The state of a company; None before its first whole sync."""
    columns = (sync_state.c.watermark, sync_state.c.run_id, sync_state.c.api_total)
    row = connection.execute(select(*columns).where(sync_state.c.company_id == company_id)).one_or_none()
    return None if row is None else SyncState(*row)


def last_synced_at(connection: Connection, company_id: int) -> datetime | None:
    """When the last whole sync of a company ended; None before its first."""
    query = select(sync_state.c.synced_at).where(sync_state.c.company_id == company_id)
    ended: datetime | None = connection.scalar(query)
    return ended


def write_sync_state(connection: Connection, company_id: int, state: SyncState) -> None:
    """Replace the state of a company. Belongs in the transaction that stores the last of what it vouches for."""
    values = {**state._asdict(), "synced_at": func.now()}
    statement = insert(sync_state).values(company_id=company_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["company_id"], set_=values))
