"""All companies side by side: the state of each, and how many documents it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
from sqlalchemy import Connection, text

from billingo_assets.health.reading import read_health
from billingo_assets.health.rules import Color, CompanyHealth
from billingo_assets.settings import Settings

_AMOUNTS = text(
    """
    SELECT c.id,
           (SELECT count(*) FROM billingo.raw_invoices WHERE company_id = c.id AND deleted_at IS NULL),
           (SELECT count(*) FROM billingo.rejected_documents WHERE company_id = c.id),
           (SELECT accepted FROM billingo.listing_differences WHERE company_id = c.id)
    FROM billingo.companies AS c WHERE removed_at IS NULL
    """
)


@dataclass(frozen=True, slots=True)
class CompanyState:
    """A company's health, its documents that are not deleted, and those in quarantine.

    `accepted` is the accepted difference between what Billingo counts and what it shows, if there is one.
    """

    health: CompanyHealth
    documents: int
    rejections: int
    accepted: int | None = None

    @property
    def color(self) -> Color:
        """The color of its health."""
        return self.health.color

    @property
    def words(self) -> str:
        """Its problems, or what happens next."""
        if self.health.problems:
            return " ".join(problem.summary for problem in self.health.problems)
        if self.health.is_being_synced:
            return "Being synced."
        if self.health.waits_for_daemon:
            return "A sync waits for the daemon, which does not run. Start it: billingo-assets dev"
        if self.color == "disabled":
            return "Disabled."
        if self.health.synced_at is None:
            return "Not synced yet."
        if self.color == "yellow":
            return "Its next sync is awaited."
        if self.accepted is not None:
            return f"Accepted: Billingo's count differs from its pages by {self.accepted:,}."
        return ""


def read_overview(
    connection: Connection, instance: dg.DagsterInstance, settings: Settings, now: datetime
) -> list[CompanyState]:
    """Read the state of every registered company, by key."""
    amounts = {row[0]: tuple(row[1:]) for row in connection.execute(_AMOUNTS)}
    return [
        CompanyState(health, *amounts.get(health.company.id, (0, 0, None)))
        for health in read_health(connection, instance, settings, now)
    ]


WORST_FIRST: tuple[Color, ...] = ("red", "yellow", "green", "disabled")


def describe(overview: Sequence[CompanyState], settings: Settings) -> list[dict[str, str | int]]:
    """Make one row for each company, the worst first. Problems come early, where a narrow page still shows them."""
    return [
        {
            "company": state.health.company.key,
            "name": state.health.company.name,
            "state": state.color,
            "what is wrong": state.words,
            "last sync": _unbroken(local_time(state.health.synced_at, settings)),
            "next sync": _unbroken(local_time(state.health.next_sync_at, settings)),
            "documents": state.documents,
            "in quarantine": state.rejections,
        }
        for state in sorted(overview, key=lambda state: WORST_FIRST.index(state.color))
    ]


def _unbroken(moment: str) -> str:
    """The moment, with a hyphen and a space that no browser breaks."""
    return moment.replace("-", "\N{NON-BREAKING HYPHEN}").replace(" ", "\N{NO-BREAK SPACE}") if moment != "-" else "-"


def local_time(moment: datetime | None, settings: Settings) -> str:
    """A moment in the settings' time zone, to the minute; "-" if there is none."""
    return f"{moment.astimezone(settings.zone):%Y-%m-%d %H:%M}" if moment else "-"
