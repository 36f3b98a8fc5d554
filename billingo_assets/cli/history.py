"""`billingo-assets history`: the last syncs, from Dagster's own event log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from billingo_assets.cli.output import say, say_json, say_parts
from billingo_assets.cli.summary import COLORS, api_calls
from billingo_assets.companies.registry import get_company, list_companies
from billingo_assets.companies.session import connected
from billingo_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from billingo_assets.run_history.outcomes import PastOutcome


@click.command(short_help="Show the last syncs.")
@click.option("--company", "key", metavar="KEY", help="Only syncs of this company, even if it was removed.")
@click.option("--days", type=click.IntRange(1, 36_500), help="Only syncs of the last N days.", metavar="N")
@click.option("--failed", is_flag=True, help="Only syncs that failed or were partial.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    metavar="N",
    help="At most N syncs, the newest.",
)
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object on standard output.")
def history(key: str | None, days: int | None, failed: bool, limit: int, wants_json: bool) -> None:
    """Show the last syncs, the newest first: what each did, what triggered it, and where to look."""
    from billingo_assets.dagster_support.instance import open_instance
    from billingo_assets.run_history.history import past_outcomes
    from billingo_assets.run_history.runs import has_runs

    settings = load_settings()
    with connected(settings) as connection, open_instance(settings) as instance:
        companies = {company.key: company for company in list_companies(connection)}
        if key is not None and key not in companies and not has_runs(instance, key):
            get_company(connection, key, removed_too=True)  # its error suggests the nearest key
        connection.rollback()
        since = datetime.now(UTC) - timedelta(days=days) if days else None
        found = past_outcomes(instance, companies, company=key, since=since, failed_only=failed)
        outcomes = list(islice(found, limit))
    if wants_json:
        say_json({"syncs": [_as_json(past, settings) for past in outcomes]})
    else:
        _print(outcomes, settings)


def _as_json(past: PastOutcome, settings: Settings) -> dict[str, Any]:
    return asdict(past.outcome) | {
        "errors": [fault.as_json() for fault in past.outcome.errors],
        "warnings": list(past.outcome.warnings),
        "started_at": past.started_at.isoformat(),
        "trigger": past.trigger,
        "is_retried": past.is_retried,
        "url": _link(past, settings),
    }


def _print(outcomes: Sequence[PastOutcome], settings: Settings) -> None:
    if not outcomes:
        say("No matching syncs.")
    for past in outcomes:
        outcome = past.outcome
        when = f"{past.started_at.astimezone(settings.zone):%Y-%m-%d %H:%M}"
        state = outcome.status, COLORS.get(outcome.status, "blue")
        took = f", {outcome.mode}, {outcome.duration_seconds:.1f} s ({past.trigger})"
        say_parts(f"{when}  {outcome.key}: ", state, ", retried" if past.is_retried else "", took)
        say(
            f"  {outcome.processed:,} processed: {outcome.created:,} created, {outcome.updated:,} updated,"
            f" {outcome.unchanged:,} unchanged"
        )
        say(
            f"  {outcome.deleted:,} deleted, {outcome.skipped:,} skipped, {outcome.items:,} items, {api_calls(outcome)}"
        )
        for fault in outcome.errors:
            say(f"  error: {fault.error}", fg="red")
        for warning in outcome.warnings:
            say(f"  warning: {warning}", fg="yellow")
        say(f"  {_link(past, settings)}")


def _link(past: PastOutcome, settings: Settings) -> str:
    return f"{settings.ui_url}/runs/{past.outcome.run_id}"
