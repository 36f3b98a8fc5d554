"""Draws the last 30 days: documents read, durations of syncs, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import dagster as dg

from billingo_assets.names import RAW_INVOICES
from billingo_assets.run_history.outcomes import duration_of
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import is_sync, was_refused
from billingo_assets.run_history.verdicts import found_company_busy

DAYS = 30
PAGE = 500
SAFE = "/:=',"
"""Characters that a URL within Markdown may contain unchanged."""
BAR, HEIGHT = 8, 48
"""Pixels: the width of a day, the height of its highest bar."""


@dataclass(slots=True)
class Day:
    """The syncs of a day: documents processed, seconds of each, count of failures."""

    day: date
    documents: int = 0
    durations: list[float] = field(default_factory=list)
    failures: int = 0


def read_days(instance: dg.DagsterInstance, now: datetime, zone: ZoneInfo) -> list[Day]:
    """Read the last 30 days, up to today, from Dagster's materializations and runs, without runs that did nothing."""
    today = now.astimezone(zone).date()
    days = {day: Day(day) for day in (today - timedelta(days=ago) for ago in reversed(range(DAYS)))}
    first = datetime.combine(min(days), datetime.min.time(), zone)
    cursor = None
    synced = dg.AssetRecordsFilter(RAW_INVOICES, after_timestamp=first.timestamp())
    while True:
        found = instance.fetch_materializations(synced, limit=PAGE, cursor=cursor)
        for record in found.records:
            day = days.get(datetime.fromtimestamp(record.timestamp, zone).date())
            made = record.asset_materialization
            if day is not None and made is not None and "processed" in made.metadata:
                day.documents += round(_number(made.metadata["processed"]))
        if not found.has_more:
            break
        cursor = found.cursor
    retries = Retries(instance, now)
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    for past in instance.get_run_records(dg.RunsFilter(statuses=ended, created_after=first.astimezone(UTC))):
        run, day = past.dagster_run, days.get(past.create_timestamp.replace(tzinfo=UTC).astimezone(zone).date())
        if day is None or not is_sync(run) or was_refused(run):
            continue
        if not run.is_failure:
            day.durations.append(duration_of(past, now))
        elif retries.failed_for_good(run) and not found_company_busy(instance, run):
            day.failures += 1
    return list(days.values())


def _number(value: dg.MetadataValue[Any]) -> float:
    return float(value.value or 0) if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) else 0.0


def plot_days(days: Sequence[Day]) -> dict[str, str]:
    """Draw a bar for each day, for documents read, durations and failures: three texts in Markdown.

    Dagster shows such a text at once if it has fewer than 1,000 characters, and behind a link otherwise.
    """
    return {
        "documents read": _bars(days, [day.documents for day in days], color="#4f43dd"),
        "seconds a sync (median)": _bars(days, [median(day.durations or [0]) for day in days], color="#7b8794"),
        "failed syncs": _bars(days, [day.failures for day in days], color="#d13212"),
    }


def _bars(days: Sequence[Day], heights: Sequence[float], *, color: str) -> str:
    """Draw one picture, with its highest bar and its days in words."""
    highest, width = max(heights), BAR * len(heights)
    bars = "".join(
        f"M{BAR * place + BAR // 2},{HEIGHT}v-{round(HEIGHT * height / highest)}"
        for place, height in enumerate(heights)
        if height
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{HEIGHT + 1}'>"
        f"<path d='{bars}' stroke='{color}' stroke-width='{BAR - 2}'/>"
        f"<path d='M0,{HEIGHT}.5h{width}' stroke='gray'/></svg>"
    )
    span = f"{days[0].day:%Y-%m-%d} to {days[-1].day:%Y-%m-%d}"
    return f"![bars](data:image/svg+xml,{quote(svg, safe=SAFE)}) {span}, highest: {round(highest, 1):,}"
