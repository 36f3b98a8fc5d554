"""Who or what asked for a run, from the tags that Dagster and the command give it."""

from __future__ import annotations

import dagster as dg
import pytest

from billingo_assets.run_history.runs import trigger_of

CLI = {"billingo/trigger": "cli"}


@pytest.mark.parametrize(
    ("tags", "parent", "trigger"),
    [
        (CLI, None, "CLI"),
        ({}, None, "UI"),
        (CLI, "of-the-command", "UI"),
        ({"dagster/schedule_name": "twice_daily"}, None, "schedule twice_daily"),
        ({"dagster/schedule_name": "daily", "dagster/retry_number": "1"}, "first-try", "schedule daily, retry 1"),
        ({"dagster/schedule_name": "daily"}, "of-the-schedule", "UI"),
        ({"dagster/sensor_name": "company_partitions"}, None, "sensor company_partitions"),
        ({"dagster/backfill": "abcdefgh"}, None, "backfill abcdefgh"),
        ({"dagster/retry_number": "2"}, "second-try", "UI, retry 2"),
    ],
)
def test_the_trigger_of_a_run_is_told_in_words(tags: dict[str, str], parent: str | None, trigger: str) -> None:
    run = dg.DagsterRun(
        job_name="sync_company", run_id="run", tags=tags, parent_run_id=parent, root_run_id=parent, run_config={}
    )
    assert trigger_of(run) == trigger
