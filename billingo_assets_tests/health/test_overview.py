"""`billingo/sync_health`: the table of all companies, and the plot of the last 30 days."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from billingo_assets.companies import registry
from billingo_assets.health.plotting import Day, plot_days, read_days
from billingo_assets.names import REFRESH_HEALTH, SYNC_COMPANY
from billingo_assets.sandbox import World
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL, Sync
from billingo_assets_tests.support.past_runs import leave_run, let_daemon_run

BUDAPEST = ZoneInfo("Europe/Budapest")
PLOTS = ["documents read", "seconds a sync (median)", "failed syncs"]
INLINE_CHARACTERS = 1_000
"""Markdown that is longer, Dagster's UI (1.13) shows after a click."""


@pytest.fixture
def table(live_defs: dg.Definitions, instance: dg.DagsterInstance) -> Callable[[], dict[str, dg.MetadataValue[object]]]:
    """Make `billingo/sync_health` anew; returns its metadata."""

    def refresh() -> dict[str, dg.MetadataValue[object]]:
        result = live_defs.resolve_job_def(REFRESH_HEALTH).execute_in_process(instance=instance)
        (made,) = result.get_asset_materialization_events()
        return dict(made.step_materialization_data.materialization.metadata)

    return refresh


def test_the_table_has_a_row_for_each_company_and_counts_their_colors(
    sync: Sync, table: Callable[[], dict[str, dg.MetadataValue[object]]], world: World, engine: Engine
) -> None:
    sync(SMALL)
    world.company(LARGE).replace_api_key("00000000-0000-4000-8000-000000000000")
    sync(LARGE)
    metadata = table()
    rows = metadata["companies"]
    assert isinstance(rows, dg.TableMetadataValue)
    shown = {str(record.data["company"]): record.data for record in rows.records}
    documents = world.company(SMALL).ledger().documents
    assert {key: (row["state"], row["documents"]) for key, row in shown.items()} == {
        SMALL: ("green", documents),
        LARGE: ("red", 0),
        "it-cardigan": ("yellow", 0),
    }
    assert "set-key" in str(shown[LARGE]["what is wrong"])
    assert shown["it-cardigan"]["what is wrong"] == "Not synced yet."
    today = f"{datetime.now(BUDAPEST):%Y\u2011%m\u2011%d}"  # with a hyphen, and a space, at which no line is broken
    assert re.fullmatch(f"{today}\u00a0[0-9]{{2}}:[0-9]{{2}}", str(shown[SMALL]["last sync"]))
    counts = {name: metadata[name].value for name in ("documents", "green", "yellow", "red")}
    assert counts == {"documents": documents, "green": 1, "yellow": 1, "red": 1}


def test_the_worst_come_first_and_what_is_wrong_before_what_is_not(
    sync: Sync, table: Callable[[], dict[str, dg.MetadataValue[object]]], world: World, engine: Engine
) -> None:
    sync(SMALL)
    world.company("it-cardigan").replace_api_key("00000000-0000-4000-8000-000000000000")
    sync("it-cardigan")
    rows = table()["companies"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert [record.data["company"] for record in rows.records] == ["it-cardigan", LARGE, SMALL]
    assert rows.records[0].data["name"] == world.company("it-cardigan").name
    assert list(rows.records[0].data)[:4] == ["company", "name", "state", "what is wrong"]


def test_the_plots_are_short_enough_to_be_shown_without_a_click(
    sync: Sync, table: Callable[[], dict[str, dg.MetadataValue[object]]]
) -> None:
    sync(SMALL)
    metadata = table()
    for name in PLOTS:
        shown = metadata[name]
        assert isinstance(shown, dg.MarkdownMetadataValue)
        assert len(shown.value or "") < INLINE_CHARACTERS


def bars(plot: str) -> list[float]:
    """The heights of a plot's bars that are not empty, in pixels."""
    svg = ElementTree.fromstring(unquote(plot.partition("svg+xml,")[2].partition(")")[0]))
    path = svg.find("{http://www.w3.org/2000/svg}path")
    assert path is not None
    return [float(height) for height in re.findall(r"v-([\d.]+)", path.get("d", ""))]


@pytest.mark.parametrize("documents", [0, 1, 10**9])
def test_a_month_has_a_bar_for_each_day_on_which_something_happened(documents: int) -> None:
    days = [Day(date(2026, 6, 1) + timedelta(days=day), documents, [1e6], 99) for day in range(30)]
    plots = plot_days([*days[:-1], Day(days[-1].day)])
    assert list(plots) == PLOTS
    assert [bars(plots[name]) for name in PLOTS] == [[48.0] * 29 if documents else [], [48.0] * 29, [48.0] * 29]
    assert all(len(plot) < INLINE_CHARACTERS for plot in plots.values())
    assert plots["documents read"].endswith(f"2026-06-01 to 2026-06-30, highest: {documents:,}")


def test_what_happened_changes_the_picture() -> None:
    quiet = [Day(date(2026, 6, 1) + timedelta(days=day), 50) for day in range(30)]
    busy = [*quiet[:-1], Day(quiet[-1].day, 100)]
    assert bars(plot_days(quiet)["documents read"]) == [48.0] * 30
    assert bars(plot_days(busy)["documents read"]) == [24.0] * 29 + [48.0]


def test_a_day_adds_up_what_its_syncs_read_and_counts_those_that_failed_for_good(
    sync: Sync, instance: dg.DagsterInstance, live_defs: dg.Definitions, world: World
) -> None:
    read = [sync(key).processed for key in (SMALL, LARGE)]
    job = live_defs.resolve_job_def(SYNC_COMPANY)
    let_daemon_run(instance)
    for will_retry in ("true", "false"):
        run = leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL)
        instance.add_run_tags(run.run_id, {"dagster/will_retry": will_retry})
    leave_run(instance, live_defs.resolve_job_def(REFRESH_HEALTH), dg.DagsterRunStatus.FAILURE)
    now = datetime.now(UTC)
    days = read_days(instance, now, BUDAPEST)
    assert [day.day for day in days] == [
        now.astimezone(BUDAPEST).date() - timedelta(days=ago) for ago in range(29, -1, -1)
    ]
    assert (days[-1].documents, len(days[-1].durations), days[-1].failures) == (sum(read), 2, 1)
    assert [(day.documents, day.durations, day.failures) for day in days[:-1]] == [(0, [], 0)] * 29


def test_a_sync_that_was_refused_since_another_had_the_company_is_no_failure_of_the_day(
    refuse: Sync, instance: dg.DagsterInstance
) -> None:
    assert refuse(SMALL).status == "failed"
    assert read_days(instance, datetime.now(UTC), BUDAPEST)[-1].failures == 0


def test_a_day_begins_at_midnight_of_the_time_zone(sync: Sync, instance: dg.DagsterInstance, engine: Engine) -> None:
    read = sync(SMALL).processed
    midnight = datetime(2026, 6, 2, tzinfo=BUDAPEST).astimezone(UTC)
    for seconds, day in ((-1, date(2026, 6, 1)), (1, date(2026, 6, 2))):
        moment = midnight + timedelta(seconds=seconds)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE dagster.event_logs SET timestamp = :moment, event = regexp_replace(event,"
                    ' \'"timestamp": [0-9.]+, "user_message"\', \'"timestamp": \' || :seconds || \', "user_message"\')'
                    " WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
                ),
                {"moment": moment.replace(tzinfo=None), "seconds": str(moment.timestamp())},
            )
        days = {one.day: one.documents for one in read_days(instance, midnight + timedelta(days=5), BUDAPEST)}
        assert {on: documents for on, documents in days.items() if documents} == {day: read}


def test_a_company_that_is_disabled_is_shown_and_counts_in_no_color(
    sync: Sync, table: Callable[[], dict[str, dg.MetadataValue[object]]], engine: Engine
) -> None:
    with engine.begin() as connection:
        for key in (SMALL, LARGE, "it-cardigan"):
            registry.change_company(connection, key, enabled=False)
    metadata = table()
    rows = metadata["companies"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert {record.data["state"] for record in rows.records} == {"disabled"}
    assert [metadata[name].value for name in ("green", "yellow", "red")] == [0, 0, 0]
