"""The past syncs, read from Dagster's runs and events: the program keeps no log of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg

from billingo_assets.companies.registry import Company
from billingo_assets.names import PARTITION_TAG, REFUSED_TAG
from billingo_assets.run_history.outcomes import Fault, Outcome, PastOutcome, Status, duration_of
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import UNFINISHED, is_sync, trigger_of, was_refused
from billingo_assets.run_history.summaries import summarize_run

PAGE = 200
"""The most runs that one query reads."""


def past_outcomes(
    instance: dg.DagsterInstance,
    companies: Mapping[str, Company],
    *,
    company: str | None = None,
    since: datetime | None = None,
    failed_only: bool = False,
) -> Iterator[PastOutcome]:
    """Return the past syncs, the newest first; with `failed_only`, only failed and partial ones.

    `companies` maps the registered keys. Any other company is shown by its key alone.
    """
    tags = {PARTITION_TAG: company} if company else {}
    statuses = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS] if failed_only else None
    retries = Retries(instance, datetime.now(UTC))
    cursor = None
    while True:
        found = dg.RunsFilter(tags=tags, created_after=since, statuses=statuses)
        records = instance.get_run_records(found, limit=PAGE, cursor=cursor)
        for record in records:
            run = record.dagster_run
            if is_sync(run) and PARTITION_TAG in run.tags:
                past = _read(instance, record, companies.get(run.tags[PARTITION_TAG]), retries)
                if not failed_only or past.outcome.status in ("failed", "partial"):
                    yield past
        if len(records) < PAGE:
            return
        cursor = records[-1].dagster_run.run_id


def _read(instance: dg.DagsterInstance, record: dg.RunRecord, company: Company | None, retries: Retries) -> PastOutcome:
    run = record.dagster_run
    summary = summarize_run(instance, run.run_id)
    started = _moment(record.start_time) or record.create_timestamp.replace(tzinfo=UTC)
    key = run.tags[PARTITION_TAG]
    failures = [Fault(error) for error in summary.errors] if run.is_failure else []
    refusals = (f"Nothing was synced: {run.tags[REFUSED_TAG]}.",) if was_refused(run) else ()
    counts = dict(summary.counts)
    if summary.rejected is not None:
        counts["skipped"] = summary.rejected
    outcome = Outcome(
        key=key,
        id=company.id if company else 0,
        name=company.name if company else key,
        status=_status(run, bool(summary.failed_checks)),
        run_id=run.run_id,
        duration_seconds=duration_of(record, datetime.now(UTC)),
        errors=(*failures, *summary.check_errors),
        warnings=refusals + summary.quarantine + summary.warnings,
        **counts,
    )
    is_retried = run.is_failure and not retries.failed_for_good(run)
    return PastOutcome(outcome, started, trigger_of(run), is_retried)


def _status(run: dg.DagsterRun, has_failed_checks: bool) -> Status:
    if run.status in UNFINISHED:
        return "running"
    if run.status is dg.DagsterRunStatus.CANCELED or was_refused(run):
        return "canceled"
    if run.is_failure:
        return "failed"
    return "partial" if has_failed_checks else "success"


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
