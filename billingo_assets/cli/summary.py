"""Prints the results of syncs, for people (a block for each company, then totals) or programs (one JSON object)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from billingo_assets.cli.output import say

if TYPE_CHECKING:
    from billingo_assets.run_history.outcomes import Outcome

COLORS = {"success": "green", "partial": "yellow", "failed": "red"}
SHOWN_ERRORS = 10

FIELDS = ("key", "id", "name", "status", "mode", "processed", "created", "updated", "unchanged", "deleted", "skipped")
FIELDS_AT_END = ("items", "api_calls", "duration_seconds", "run_id")


def as_json(outcomes: Sequence[Outcome], duration_seconds: float) -> dict[str, Any]:
    """Make the object that `sync --json` prints."""
    return {
        "companies": [
            {name: asdict(outcome)[name] for name in (*FIELDS, *FIELDS_AT_END)}
            | {"errors": [fault.as_json() for fault in outcome.errors], "warnings": list(outcome.warnings)}
            for outcome in outcomes
        ],
        "summary": _totals(outcomes, duration_seconds),
    }


def print_outcome(outcome: Outcome) -> None:
    """One company's block."""
    counts = (
        ("created", outcome.created),
        ("updated", outcome.updated),
        ("unchanged", outcome.unchanged),
        ("deleted", outcome.deleted),
        ("skipped", outcome.skipped),
    )
    say(f"{outcome.key} ({outcome.name}): {outcome.status}", fg=COLORS[outcome.status], bold=True)
    if outcome.status != "failed" or outcome.api_calls:
        why = f": {outcome.reason}" if outcome.reason else ""
        say(f"  {outcome.processed:,} documents processed, {outcome.items:,} items ({outcome.mode} sync{why})")
        say("  " + ", ".join(f"{number:,} {name}" for name, number in counts))
    say(f"  {api_calls(outcome)}, {outcome.duration_seconds:.1f} s, run {outcome.run_id}")
    for fault in outcome.errors[:SHOWN_ERRORS]:
        where = "" if fault.document_id is None else f"document {fault.document_id}: "
        say(f"  {'warning' if fault.warns else 'error'}: {where}{fault.error}", fg="yellow" if fault.warns else "red")
    if len(outcome.errors) > SHOWN_ERRORS:
        say(f"  and {len(outcome.errors) - SHOWN_ERRORS:,} more, in the table billingo.rejected_documents")
    for warning in outcome.warnings:
        say(f"  warning: {warning}", fg="yellow")


def api_calls(outcome: Outcome) -> str:
    """The number of API calls in words."""
    return "1 API call" if outcome.api_calls == 1 else f"{outcome.api_calls:,} API calls"


def print_totals(outcomes: Sequence[Outcome], duration_seconds: float) -> None:
    """Print the last line: the totals of all companies."""
    totals = _totals(outcomes, duration_seconds)
    say(
        f"{totals['total']} {'company' if totals['total'] == 1 else 'companies'}: {totals['successful']} successful,"
        f" {totals['partial']} partial, {totals['failed']} failed;"
        f" {totals['processed']:,} documents in {totals['duration_seconds']:.1f} s"
    )


def _totals(outcomes: Sequence[Outcome], duration_seconds: float) -> dict[str, Any]:
    statuses = Counter(outcome.status for outcome in outcomes)
    return {
        "total": len(outcomes),
        "successful": statuses["success"],
        "partial": statuses["partial"],
        "failed": statuses["failed"],
        "processed": sum(outcome.processed for outcome in outcomes),
        "duration_seconds": round(duration_seconds, 3),
    }
