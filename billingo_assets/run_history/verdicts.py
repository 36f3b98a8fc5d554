"""What a company's runs say of it: that its last sync failed for good, or that all went well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg

from billingo_assets.names import PARTITION_TAG
from billingo_assets.run_history.outcomes import events_of, read_events
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import is_sync, only_executes_checks, was_refused
from billingo_assets.warehouse.locks import CompanyBusyError

RECENT = timedelta(hours=49)
"""How far back all runs are read at once; of companies without one since, each is asked for."""
RUNS_OF_ONE = 10


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run for the company that failed for good, and was not followed by one that went well."""

    run_id: str
    error: str
    error_type: str | None


def syncs_to_retry(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether a sync failed of late and may yet be tried again."""
    retries = Retries(instance, now)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=now - RECENT)
    runs = [record.dagster_run for record in instance.get_run_records(failed)]
    return any(is_sync(run) and retries.is_undecided(run) for run in runs)


def found_company_busy(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run failed since another one had its company. That one speaks for it."""
    return read_events(events_of(instance, run.run_id)).error_type == CompanyBusyError.__name__


class Past(NamedTuple):
    """The newest runs of a company, the newest first, and its failure, if that is what the last word of them is."""

    runs: list[dg.DagsterRun]
    failed_run: FailedRun | None


class Verdict(NamedTuple):
    """What a run says of its company: that it failed, or (None) that all went well."""

    failed_run: FailedRun | None


def past_by_company(
    instance: dg.DagsterInstance, keys: Sequence[str], retries: Retries, now: datetime
) -> Mapping[str, Past]:
    """The past of each company, at least to the last run that says how it is, if there is one."""
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
    """The past of a company up to the last run that says how it is, if there is one."""
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
    """What a company's runs, the newest first, say of it; nothing of one that goes on, was canceled, or is retried.

    One that did nothing says nothing either: the company is not to be synced, or another run had it.
    """
    silent: set[str] = set()
    for run in runs:
        if was_refused(run) or only_executes_checks(run):
            continue  # of checks, the results speak
        if run.is_success and is_sync(run):
            yield Verdict(None)
        elif run.is_failure and retries.failed_for_good(run, silent=silent):
            told = read_events(events_of(instance, run.run_id))
            if told.error_type == CompanyBusyError.__name__:
                silent.add(run.run_id)
            else:
                yield Verdict(FailedRun(run.run_id, " ".join(told.errors), told.error_type))
