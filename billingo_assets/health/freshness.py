"""How fresh a company's documents are, in the form of a check's result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from sqlalchemy import Connection, select

from billingo_assets.companies.registry import Company, list_companies
from billingo_assets.health.rules import Moments, limits_of_age, staleness
from billingo_assets.settings import Settings, load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.tables import companies, sync_state

SYNCED_RECENTLY = "synced_recently"
"""The check with these results."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a company was synced in time, and since when it was not."""

    company: Company
    holds: bool
    severity: dg.AssetCheckSeverity
    synced_at: datetime | None
    age: timedelta
    limit: timedelta | None
    description: str

    @property
    def state(self) -> str:
        """`fresh`, `warn` or `error`. A new result is recorded when this changes."""
        return "fresh" if self.holds else self.severity.value.lower()

    @property
    def metadata(self) -> dict[str, Any]:
        """Its age and the limit, in hours; the time of its last sync, and its schedule.

        The values are texts: Dagster would plot the numbers of all companies as one line.
        """
        found = _hours(self.age)
        shown: dict[str, Any] = {"found": f"{found:,} hours", "schedule": self.company.schedule}
        if self.limit is not None:
            expected = _hours(self.limit)
            shown |= {"expected": f"{expected:,} hours", "difference": f"{max(0, found - expected):,} hours"}
        if self.synced_at is not None:
            shown["last_synced"] = dg.MetadataValue.timestamp(self.synced_at)
        return shown


def read_freshness(connection: Connection, company: Company, now: datetime) -> Freshness:
    """Read the freshness of one company."""
    return _judge(company, read_moments(connection, company.id)[company.id], now, load_settings())


def read_all_freshness(connection: Connection, now: datetime) -> list[Freshness]:
    """Read the freshness of each enabled company."""
    moments, settings = read_moments(connection), load_settings()
    return [
        _judge(company, moments[company.id], now, settings) for company in list_companies(connection, enabled_only=True)
    ]


def _judge(company: Company, moments: Moments, now: datetime, settings: Settings) -> Freshness:
    synced_at, since = moments.synced_at, moments.counted_from
    limits = limits_of_age(company, since, settings)
    stale = staleness(company, since, now, settings)
    last = f"Last synced {synced_at.astimezone(settings.zone):%Y-%m-%d %H:%M}" if synced_at else "Not synced yet"
    return Freshness(
        company=company,
        holds=stale is None,
        severity=dg.AssetCheckSeverity.ERROR if stale == "error" else dg.AssetCheckSeverity.WARN,
        synced_at=synced_at,
        age=now - since,
        limit=limits.warning if limits else None,
        description=f"{last}." if stale is None else f"{last}, which is too long ago.",
    )


def _hours(time: timedelta) -> int:
    return time // timedelta(hours=1)


def read_moments(connection: Connection, company_id: int | None = None) -> dict[int, Moments]:
    """Since when each company's syncs are expected, and when its last complete sync of documents ended; by id."""
    of_documents = (sync_state.c.company_id == companies.c.id) & (sync_state.c.stream == DOCUMENTS.name)
    query = select(companies.c.id, companies.c.expected_since, sync_state.c.synced_at).select_from(
        companies.outerjoin(sync_state, of_documents)
    )
    if company_id is not None:
        query = query.where(companies.c.id == company_id)
    return {row[0]: Moments(*row[1:]) for row in connection.execute(query)}
