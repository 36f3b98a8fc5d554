"""The last 30 days as a picture: documents read, how long the syncs took, how many failed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from billingo_assets.assets.describing import RAW_INVOICES
from billingo_assets.monitoring.outcomes import duration_of
from billingo_assets.monitoring.reading import is_sync
from billingo_assets.monitoring.retries import Retries

DAYS = 30
PAGE = 500


@dataclass(slots=True)
class Day:
    """What the syncs of a day did: documents processed, seconds each took, how many failed."""

    day: date
    documents: int = 0
    durations: list[float] = field(default_factory=list)
    failures: int = 0


def read_days(instance: dg.DagsterInstance, now: datetime, zone: ZoneInfo) -> list[Day]:
    """The last 30 days, today the last, from Dagster's materializations and runs."""
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
        if day is None or not is_sync(run):
            continue
        if not run.is_failure:
            day.durations.append(duration_of(past, now))
        elif retries.failed_for_good(run):
            day.failures += 1
    return list(days.values())


def _number(value: dg.MetadataValue[Any]) -> float:
    return float(value.value or 0) if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) else 0.0


def plot_days(days: Sequence[Day]) -> str:
    """Draw three bars a day, one above the other; returns a PNG as a `data:` URL."""
    figure = Figure(figsize=(8, 6), dpi=80, layout="constrained")
    axes = figure.subplots(3, sharex=True)
    dates = [day.day for day in days]
    for axis, title, heights, color in (
        (axes[0], "documents read", [day.documents for day in days], "#4f43dd"),
        (axes[1], "seconds a sync (median)", [median(day.durations or [0.0]) for day in days], "#7b8794"),
        (axes[2], "failed syncs", [day.failures for day in days], "#d13212"),
    ):
        axis.bar(dates, heights, color=color)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylim(bottom=0, top=None if any(heights) else 1)
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.get_major_locator().set_params(integer=axis is not axes[1])
    axes[2].xaxis.set_major_formatter(DateFormatter("%m-%d"))
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode("ascii")
