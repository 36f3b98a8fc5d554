"""Judges from a company's runs whether its last sync failed for good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg

from billingo_assets.names import PARTITION_TAG
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import is_sync, only_executes_checks, was_refused
from billingo_assets.run_history.summaries import summarize_run
from billingo_assets.warehouse.locks import CompanyBusyError

RECENT = timedelta(hours=49)
"""How far back the runs of all companies are read at once. Older runs are read company by company."""
RUNS_OF_ONE = 10


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run of the company that failed for good, without a successful run after it."""

    run_id: str
    error: str
    error_type: str | None


def syncs_to_retry(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether a recent sync failed and may still be tried again."""
    retries = Retries(instance, now)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=now - RECENT)
    runs = [record.dagster_run for record in instance.get_run_records(failed)]
    return any(is_sync(run) and retries.is_undecided(run) for run in runs)


def found_company_busy(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run failed because another one was writing to its company, so that the other one counts."""
    return summarize_run(instance, run.run_id).error_type == CompanyBusyError.__name__


class Past(NamedTuple):
    """The newest runs of a company, the newest first, and its failure, if the last run that counts failed."""

    runs: list[dg.DagsterRun]
    failed_run: FailedRun | None


class Verdict(NamedTuple):
    """The verdict of a run on its company: its failure, or None if it succeeded."""

    failed_run: FailedRun | None


def past_by_company(
    instance: dg.DagsterInstance, keys: Sequence[str], retries: Retries, now: datetime
) -> Mapping[str, Past]:
    """The past of each company, at least back to the last run that counts, if there is one."""
    by_key: dict[str, list[dg.DagsterRun]] = defaultdict(list)
    recent = dg.RunsFilter(tags={PARTITION_TAG: list(keys)}, created_after=now - RECENT)
    for record in instance.get_run_records(recent) if keys else ():
        by_key[record.dagster_run.tags[PARTITION_TAG]].append(record.dagster_run)
    past = {}
    for key in keys:
        verdict = next(_verdicts(instance, by_key[key], retries), None)
        past[key] = Past(by_key[key], verdict.failed_run) if verdict else past_until_decided(instance, key, retries)
    return past


def past_until_decided(instance: dg.DagsterInstance, key: str, retries: Retries) -> Past:
    """The past of a company back to the last run that counts, if there is one."""
    runs: list[dg.DagsterRun] = []

    def read() -> Iterator[dg.DagsterRun]:
        of_one = dg.RunsFilter(tags={PARTITION_TAG: key})
        while True:
            records = instance.get_run_records(of_one, limit=RUNS_OF_ONE, cursor=runs[-1].run_id if runs else None)
            for record in records:
                runs.append(record.dagster_run)
                yield record.dagster_run
            if len(records) < RUNS_OF_ONE:
                return

    verdict = next(_verdicts(instance, read(), retries), None)
    return Past(runs, verdict.failed_run if verdict else None)


def _verdicts(instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun], retries: Retries) -> Iterator[Verdict]:
    """The verdict of each run that counts, the newest first. Running, canceled and retried runs do not count.

    Nor does a run that did nothing because its company is disabled, or because another run was writing to it.
    """
    silent: set[str] = set()
    for run in runs:
        if was_refused(run) or only_executes_checks(run):
            continue  # results of checks count separately
        if run.is_success and is_sync(run):
            yield Verdict(None)
        elif run.is_failure and retries.failed_for_good(run, silent=silent):
            summary = summarize_run(instance, run.run_id)
            if summary.error_type == CompanyBusyError.__name__:
                silent.add(run.run_id)
            else:
                yield Verdict(FailedRun(run.run_id, " ".join(summary.errors), summary.error_type))
