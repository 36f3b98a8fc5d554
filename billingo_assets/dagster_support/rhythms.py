"""The rhythms in which companies are synced: their cron lines, and when these tick.

The ticks are computed by what Dagster's scheduler computes them with, so that "next sync" is what will happen.
"""

from __future__ import annotations

from datetime import datetime

from dagster._utils.schedules import schedule_execution_time_iterator

from billingo_assets.companies.schedule import Schedule
from billingo_assets.settings import Settings


def cron_line(rhythm: Schedule, settings: Settings) -> str | None:
    """When companies of this rhythm are synced; None: only when somebody asks."""
    lines: dict[Schedule, str | None] = {
        "daily": settings.cron_daily,
        "twice-daily": settings.cron_twice_daily,
        "hourly": settings.cron_hourly,
        "weekly": settings.cron_weekly,
        "manual": None,
    }
    return lines[rhythm]


def next_tick(cron: str, after: datetime, settings: Settings) -> datetime:
    """The first tick of a cron line later than `after`, in the settings' time zone."""
    ticks = schedule_execution_time_iterator(after.timestamp(), cron, settings.timezone)
    return next(tick for tick in ticks if tick > after)
