"""The rhythms in which a company can be synced. When each ticks, the settings say."""

from __future__ import annotations

from typing import Literal, get_args

Schedule = Literal["daily", "twice-daily", "hourly", "weekly", "manual"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
