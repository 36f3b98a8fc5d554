"""`billingo-assets status`: shows the state of every company, for people and for monitoring."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from billingo_assets.cli.output import losing_output, say, say_json, say_parts
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from billingo_assets.health.overview import CompanyState

SHOWN = {"green": "green", "yellow": "yellow", "red": "red", "disabled": "bright_black"}
KEY_WIDTH = 13
"""The longest key in the table of 80 columns; a longer one has a line of its own."""


@click.command(short_help="Show the state of every company.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object on standard output.")
def status(wants_json: bool) -> None:
    """Show the state of every company.

    Green: synced within 24 hours, every check passed. Yellow: synced 24 to 48 hours ago, or a check warns. Red: synced
    longer ago, the last sync or a check failed, or there is no API key. Rhythms with longer pauses get more time.

    Exit code: 0 all green, 1 one is yellow, 2 one is red.
    """
    from billingo_assets.companies.session import connected
    from billingo_assets.dagster_support.instance import open_instance
    from billingo_assets.health.overview import read_overview

    settings = load_settings()
    with connected(settings) as connection, open_instance(settings) as instance:
        overview = read_overview(connection, instance, settings, datetime.now(UTC))
    if not overview:
        raise ConfigurationError(
            f"No company yet in this database ({settings.database_place})."
            " Add one: billingo-assets company add KEY --name NAME"
        )
    with losing_output():
        if wants_json:
            say_json(_as_json(overview))
        else:
            _print(overview, settings)
    colors = {state.color for state in overview}
    sys.exit(2 if "red" in colors else 1 if "yellow" in colors else 0)


def _as_json(overview: Sequence[CompanyState]) -> dict[str, Any]:
    colors = Counter[str](state.color for state in overview)
    return {
        "companies": [
            {
                "key": state.health.company.key,
                "name": state.health.company.name,
                "status": state.color,
                "schedule": state.health.company.schedule,
                "last_sync": _iso(state.health.synced_at),
                "next_sync": _iso(state.health.next_sync_at),
                "is_being_synced": state.health.is_being_synced,
                "waits_for_daemon": state.health.waits_for_daemon,
                "documents": state.documents,
                "rejections": state.rejections,
                "problems": [
                    {"kind": problem.kind, "severity": problem.severity, "summary": problem.summary}
                    for problem in state.health.problems
                ],
            }
            for state in overview
        ],
        "summary": {color: colors[color] for color in SHOWN},
    }


def _print(overview: Sequence[CompanyState], settings: Settings) -> None:
    from billingo_assets.health.overview import local_time

    width = min(KEY_WIDTH, max(7, *(len(state.health.company.key) for state in overview)))
    say(f"{'company':<{width}}  state     last sync         next sync         documents  rejected")
    for state in overview:
        health = state.health
        key = health.company.key
        if len(key) > width:
            say(key)
            key = ""
        say_parts(
            f"{key:<{width}}  ",
            (f"{state.color:<8}", SHOWN[state.color]),
            f"  {local_time(health.synced_at, settings):<16}"
            f"  {local_time(health.next_sync_at, settings):<16}  {state.documents:>9,}  {state.rejections:>8,}",
        )
        for problem in health.problems:
            say(f"  {problem.severity}: {problem.summary}", fg=SHOWN[state.color])
        if not health.problems and state.words:
            say(f"  {state.words}")


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
