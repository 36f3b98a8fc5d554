"""Which failures are for good: decided from what Dagster's daemon has done and can still do, not from a mark."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from billingo_assets.run_history.daemon import Daemon
from billingo_assets.run_history.retries import PATIENCE, Failure, failed_for_good
from billingo_assets.run_history.runs import UNFINISHED

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WORKING = Daemon(runs=True, retried_until=99)
FAILURE = Failure(event_id=100, failed_at=NOW, will_retry=True)


def test_a_failure_that_the_daemon_has_yet_to_look_at_may_be_retried() -> None:
    assert not failed_for_good(FAILURE, WORKING, NOW)


def test_a_failure_that_dagster_has_yet_to_mark_may_be_retried() -> None:
    assert not failed_for_good(replace(FAILURE, will_retry=None), WORKING, NOW)


@pytest.mark.parametrize(
    "failure",
    [
        replace(FAILURE, will_retry=False),
        replace(FAILURE, event_id=99),
        replace(FAILURE, event_id=None),
        replace(FAILURE, backfill_is_over=True),
        replace(FAILURE, retry=dg.DagsterRunStatus.CANCELED),
        replace(FAILURE, event_id=99, retry=dg.DagsterRunStatus.NOT_STARTED),
    ],
    ids=["marked so", "passed over", "without a record", "of a backfill that is over", "canceled", "never handed over"],
)
def test_a_failure_that_nobody_will_retry_is_for_good(failure: Failure) -> None:
    assert failed_for_good(failure, WORKING, NOW)


@pytest.mark.parametrize(
    "daemon",
    [Daemon(runs=False, retried_until=99), Daemon(runs=True, retried_until=None)],
    ids=["stopped", "retries off"],
)
def test_a_failure_is_for_good_while_no_daemon_retries(daemon: Daemon) -> None:
    assert failed_for_good(FAILURE, daemon, NOW)


@pytest.mark.parametrize("retry", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_a_retry_that_has_ended_speaks_for_itself(retry: dg.DagsterRunStatus) -> None:
    assert not failed_for_good(replace(FAILURE, event_id=99, retry=retry), Daemon(runs=False), NOW)


@pytest.mark.parametrize("retry", [status for status in UNFINISHED if status is not dg.DagsterRunStatus.NOT_STARTED])
def test_a_retry_that_waits_or_goes_stands_for_the_failure_while_a_daemon_runs(retry: dg.DagsterRunStatus) -> None:
    failure = replace(FAILURE, event_id=99, retry=retry)
    assert not failed_for_good(failure, WORKING, NOW)
    assert failed_for_good(failure, replace(WORKING, runs=False), NOW)


def test_a_daemon_that_cannot_retry_for_long_is_waited_for_no_longer() -> None:
    broken = replace(WORKING, retries_break=True)
    assert not failed_for_good(FAILURE, broken, NOW + PATIENCE)
    assert failed_for_good(FAILURE, broken, NOW + PATIENCE + timedelta(seconds=1))
    assert not failed_for_good(FAILURE, WORKING, NOW + timedelta(days=9))
