"""Decides whether a run failed for good. Every part that reports failures uses it.

Dagster marks a failed run with `dagster/will_retry` at once, and its daemon decides seconds later. The mark stays if
the daemon decides otherwise, so it does not prove a retry.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, BACKFILL_ID_TAG, WILL_RETRY_TAG

from billingo_assets.run_history.daemon import Daemon, read_daemon
from billingo_assets.run_history.runs import UNFINISHED, was_refused

PATIENCE = timedelta(minutes=10)
"""How long a failure waits for its retry while the part of the daemon that retries reports errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The facts that decide whether a failed run is tried again.

    `event_id` is the storage id of its failure, None without a record of it. `will_retry` is Dagster's mark, None
    before it is set. `backfill_is_over` says that the run belongs to a backfill that has ended or was deleted.
    `retry` is the status of the run that the daemon made of it, None without one, or if it was deleted.
    """

    event_id: int | None
    failed_at: datetime
    will_retry: bool | None
    backfill_is_over: bool = False
    retry: dg.DagsterRunStatus | None = None


def failed_for_good(failure: Failure, daemon: Daemon, now: datetime) -> bool:
    """Whether a failed run has no retry that counts, and none can still come.

    A retry that has ended takes the run's place, unless it was canceled.
    """
    match failure.retry:
        case None | dg.DagsterRunStatus.NOT_STARTED:  # not launched yet; the daemon does so if it gets that far
            return not _can_be_retried(failure, daemon, now)
        case dg.DagsterRunStatus.CANCELED:
            return True
        case dg.DagsterRunStatus.SUCCESS | dg.DagsterRunStatus.FAILURE:
            return False
        case _:  # it waits or runs: a daemon starts it, and notices if its process is gone
            return not daemon.runs


def _can_be_retried(failure: Failure, daemon: Daemon, now: datetime) -> bool:
    """Whether the daemon has not looked at the failure yet, and would then retry the run."""
    return (
        failure.will_retry is not False
        and not failure.backfill_is_over
        and daemon.runs
        and daemon.retried_until is not None
        and failure.event_id is not None
        and failure.event_id > daemon.retried_until
        and not (daemon.retries_break and now - failure.failed_at > PATIENCE)
    )


class Retries:
    """Reads the facts for `failed_for_good`. Make a new one for each look: it reads the daemon's state once."""

    def __init__(self, instance: dg.DagsterInstance, now: datetime) -> None:
        """Look at `now`."""
        self._instance = instance
        self._now = now
        self.daemon = read_daemon(instance, now)

    def failed_for_good(self, run: dg.DagsterRun, *, silent: Container[str] = ()) -> bool:
        """Whether a run failed for good. Retries in `silent`, by id, do not count, as if they were canceled."""
        tag = run.tags.get(WILL_RETRY_TAG)
        if tag == "false":
            return True
        retry = self._retry_of(run)
        does_not_count = retry is not None and (retry.run_id in silent or was_refused(retry))
        event_id, failed_at, backfill_is_over = None, self._now, False
        if retry is None or retry.status is dg.DagsterRunStatus.NOT_STARTED:
            event_id, failed_at = self._event_of(run)
            backfill_is_over = self._backfill_is_over(run)
        failure = Failure(
            event_id=event_id,
            failed_at=failed_at,
            will_retry=None if tag is None else tag == "true",
            backfill_is_over=backfill_is_over,
            retry=dg.DagsterRunStatus.CANCELED if does_not_count else retry.status if retry else None,
        )
        return failed_for_good(failure, self.daemon, self._now)

    def is_undecided(self, run: dg.DagsterRun) -> bool:
        """Whether a run's results may still be replaced: it runs, or it failed and its retry runs or may come."""
        if not run.is_failure:
            return run.status in UNFINISHED
        retry = self._retry_of(run)
        if retry is None or retry.status in UNFINISHED:
            return not self.failed_for_good(run)
        return self.is_undecided(retry)

    def _retry_of(self, run: dg.DagsterRun) -> dg.DagsterRun | None:
        retry_id = run.tags.get(AUTO_RETRY_RUN_ID_TAG)
        return self._instance.get_run_by_id(retry_id) if retry_id else None

    def _event_of(self, run: dg.DagsterRun) -> tuple[int | None, datetime]:
        """The storage id and the time of a run's last failure."""
        records = self._instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
        if not records:
            return None, self._now
        return records[-1].storage_id, datetime.fromtimestamp(records[-1].timestamp, UTC)

    def _backfill_is_over(self, run: dg.DagsterRun) -> bool:
        if (backfill_id := run.tags.get(BACKFILL_ID_TAG)) is None:
            return False
        backfill = self._instance.get_backfill(backfill_id)
        return backfill is None or backfill.status in BULK_ACTION_TERMINAL_STATUSES
