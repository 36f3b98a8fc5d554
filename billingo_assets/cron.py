"""Validates cron lines and computes their ticks.

Dagster's own scheduler computes the ticks here too, so the "next sync" that people see is the real one. Dagster is
imported only where a line is read: it takes a second.
"""

from __future__ import annotations

import time
from datetime import datetime


def checked_cron(line: str) -> str:
    """Return `line`. Raises ValueError unless it is a cron line of five fields that ticks at all."""
    from dagster._utils.schedules import is_valid_cron_string

    fields = line.split()
    if len(fields) != 5:  # an alias such as @daily has one
        raise ValueError("must be a cron line of five fields, such as 0 2 * * *")
    minute, hour, day, month, weekday = fields
    if is_valid_cron_string(line):
        ticks = _ticks(line)
    elif all(is_valid_cron_string(f"{minute} {hour} {date} {weekday}") for date in (f"{day} *", f"* {month}")):
        ticks = False  # no month in it has such a day
    else:
        raise ValueError("is not a cron line: minute, hour, day of the month, month, weekday, such as 0 2 * * *")
    if not ticks:
        raise ValueError("would never tick: no month that it names has such a day")
    return line


def _ticks(line: str) -> bool:
    from dagster._utils.schedules import schedule_execution_time_iterator
    from dagster._vendored.croniter.croniter import CroniterBadDateError

    try:
        next(schedule_execution_time_iterator(time.time(), line, "UTC"))
    except CroniterBadDateError:
        return False
    return True


def next_tick(line: str, after: datetime, timezone: str) -> datetime:
    """The first tick of a cron line later than `after`, in a time zone."""
    from dagster._utils.schedules import schedule_execution_time_iterator

    ticks = schedule_execution_time_iterator(after.timestamp(), line, timezone)
    return next(tick for tick in ticks if tick > after)
