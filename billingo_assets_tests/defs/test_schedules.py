"""The schedules: when each ticks, over the changes of the clock too, and whom a tick asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.run_request import RunRequest
from dagster._utils.schedules import schedule_execution_time_iterator
from sqlalchemy import Engine

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.companies.schedule import Schedule
from billingo_assets.dagster_support.instance import remove_partition
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.definitions import build_defs
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import load_settings

BUDAPEST = ZoneInfo("Europe/Budapest")
NIGHT = datetime(2026, 6, 7, 2, tzinfo=BUDAPEST)

CRON_LINES = {
    "daily": "0 2 * * *",
    "twice_daily": "0 2,14 * * *",
    "hourly": "0 8-20 * * 1-5",
    "weekly": "0 3 * * 0",
    "full": "0 4 * * 0",
    "maintenance": "30 1 * * *",
}

CHANGES = {"spring": date(2026, 3, 29), "autumn": date(2026, 10, 25)}
"""The days on which the hour from 2 to 3 is left out, and on which it is there twice."""


def schedules() -> dict[str, dg.ScheduleDefinition]:
    """Those of the code location with the settings of now, by name."""
    return {schedule.name: schedule for schedule in build_defs().get_repository_def().schedule_defs}


Tick = Callable[..., list[RunRequest]]


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Tick:
    """Let a schedule tick at a moment; returns what it asks for."""
    repository = build_defs().get_repository_def()

    def evaluate(name: str, at: datetime = NIGHT) -> list[RunRequest]:
        with dg.build_schedule_context(
            instance=instance,
            repository_def=repository,
            scheduled_execution_time=at,
            resources={"warehouse": WarehouseResource()},
        ) as context:
            return list(repository.get_schedule_def(name).evaluate_tick(context).run_requests or ())

    return evaluate


@pytest.fixture
def change(engine: Engine, companies: dict[str, Company]) -> Callable[..., None]:
    """Change a company in the registry."""

    def apply(key: str, **values: Any) -> None:
        with engine.begin() as connection:
            registry.change_company(connection, key, **values)

    return apply


def asked(requests: list[RunRequest]) -> list[str | None]:
    return [request.partition_key for request in requests]


def test_each_rhythm_has_a_schedule_and_there_are_two_more() -> None:
    assert {name: schedule.cron_schedule for name, schedule in schedules().items()} == CRON_LINES


@pytest.mark.parametrize("name", CRON_LINES)
def test_a_schedule_runs_from_the_start_in_the_time_zone_of_the_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert schedules()[name].execution_timezone == "Europe/Budapest"
    monkeypatch.setenv("BILLINGO_TIMEZONE", "Europe/London")
    load_settings.cache_clear()
    schedule = schedules()[name]
    assert (schedule.default_status, schedule.execution_timezone) == (
        dg.DefaultScheduleStatus.RUNNING,
        "Europe/London",
    )


@pytest.mark.parametrize("name", CRON_LINES)
def test_a_cron_line_comes_from_a_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"BILLINGO_CRON_{name.upper()}", "7 5 * * 3")
    load_settings.cache_clear()
    assert {name: schedule.cron_schedule for name, schedule in schedules().items()} == CRON_LINES | {name: "7 5 * * 3"}


@pytest.mark.parametrize("line", ["nightly", "0 2 * *", "61 2 * * *", "0 2 * * * *", "@daily"])
def test_a_cron_line_that_is_none_is_refused_in_words(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_CRON_DAILY", line)
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match=r"^BILLINGO_CRON_DAILY: (must be|is not) a cron line"):
        load_settings()


def test_every_schedule_but_maintenance_syncs_companies() -> None:
    jobs = {name: schedule.job_name for name, schedule in schedules().items()}
    assert jobs == dict.fromkeys(CRON_LINES, "sync_company") | {"maintenance": "prune_history"}


def test_a_tick_asks_for_one_run_of_each_company_of_the_rhythm(
    tick: Tick, change: Callable[..., None], companies: dict[str, Company]
) -> None:
    rhythms: dict[str, Schedule] = {"arvizturo": "twice-daily", "it-cardigan": "twice-daily", "ozon-bt": "daily"}
    for key, rhythm in rhythms.items():
        change(key, schedule=rhythm)
    assert [asked(tick(name)) for name in ("daily", "twice_daily", "hourly", "weekly")] == [
        ["ozon-bt"],
        ["arvizturo", "it-cardigan"],
        [],
        [],
    ]
    assert not tick("daily")[0].run_config


def test_a_tick_that_is_repeated_asks_for_nothing_new_and_the_next_one_does(tick: Tick) -> None:
    keys = [[request.run_key for request in tick("daily", at)] for at in (NIGHT, NIGHT, NIGHT + timedelta(days=1))]
    assert keys[0] == keys[1]
    assert len({*keys[0], *keys[2]}) == 6


def test_a_company_that_is_disabled_removed_or_manual_is_not_asked_for(
    tick: Tick, change: Callable[..., None], engine: Engine
) -> None:
    change("arvizturo", enabled=False)
    change("it-cardigan", schedule="manual")
    with engine.begin() as connection:
        registry.remove_company(connection, "ozon-bt")
    assert [tick(name) for name in ("daily", "twice_daily", "hourly", "weekly", "full")] == [[], [], [], [], []]


def test_a_company_without_a_partition_yet_is_left_out_and_the_others_are_asked_for(
    tick: Tick, instance: dg.DagsterInstance
) -> None:
    remove_partition(instance, "it-cardigan")
    assert asked(tick("daily")) == ["arvizturo", "ozon-bt"]


def test_the_full_schedule_has_every_document_of_every_rhythm_read(
    tick: Tick, change: Callable[..., None], instance: dg.DagsterInstance
) -> None:
    change("arvizturo", schedule="weekly")
    change("it-cardigan", schedule="hourly")
    requests = tick("full", NIGHT)
    assert asked(requests) == ["arvizturo", "it-cardigan", "ozon-bt"]
    config = {"ops": {"billingo__raw_invoices": {"config": {"full": True}}}}
    assert [request.run_config for request in requests] == [config] * 3
    assert dg.validate_run_config(build_defs().resolve_job_def("sync_company"), config)


def ticks_of(name: str, first: date, days: int) -> list[datetime]:
    """When the scheduler lets a schedule tick in so many days, computed as the daemon does."""
    begin = datetime.combine(first, datetime.min.time(), BUDAPEST)
    end = datetime.combine(first + timedelta(days=days), datetime.min.time(), BUDAPEST)
    ticks = schedule_execution_time_iterator(begin.timestamp(), CRON_LINES[name], "Europe/Budapest")
    return list(takewhile(lambda tick: tick.timestamp() < end.timestamp(), ticks))


WEEK = {"daily": [1] * 7, "twice_daily": [2] * 7, "hourly": [13] * 5 + [0] * 2, "weekly": [0] * 6 + [1]}
"""Ticks on each day from a Monday to the Sunday on which the clock changes."""


@pytest.mark.parametrize("change_of_clock", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("name", WEEK)
def test_a_schedule_ticks_as_often_on_the_day_when_the_clock_changes_as_on_any_other(
    name: str, change_of_clock: date
) -> None:
    monday = change_of_clock - timedelta(days=6)
    ticks = ticks_of(name, monday, 14)
    by_day = Counter(tick.astimezone(BUDAPEST).date() for tick in ticks)
    assert [by_day[monday + timedelta(days=day)] for day in range(14)] == WEEK[name] * 2
    moments = [tick.timestamp() for tick in ticks]
    assert moments == sorted(set(moments))


def test_a_company_has_its_turn_at_two_or_in_the_night_that_lacks_the_hour_at_three() -> None:
    (tick,) = ticks_of("daily", CHANGES["spring"], 1)
    assert tick.astimezone(BUDAPEST).hour == 3


def test_the_hour_that_the_clock_shows_twice_is_two_ticks_to_whom_asks_for_both(tick: Tick) -> None:
    first = datetime(2026, 10, 25, 2, tzinfo=BUDAPEST)
    second = first.replace(fold=1)
    assert second.astimezone(UTC) - first.astimezone(UTC) == timedelta(hours=1)
    keys = [request.run_key for at in (first, second) for request in tick("daily", at)]
    assert len(set(keys)) == len(keys) == 6
