"""The rhythms of syncs that a company can have, and their cron lines in the settings."""

from __future__ import annotations

from typing import Literal, get_args

from billingo_assets.settings import Settings

Schedule = Literal["daily", "twice-daily", "hourly", "weekly", "manual"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


def cron_line(rhythm: Schedule, settings: Settings) -> str | None:
    """The cron line of this rhythm; None for `manual`, which is synced only on request."""
    lines: dict[Schedule, str | None] = {
        "daily": settings.cron_daily,
        "twice-daily": settings.cron_twice_daily,
        "hourly": settings.cron_hourly,
        "weekly": settings.cron_weekly,
        "manual": None,
    }
    return lines[rhythm]
