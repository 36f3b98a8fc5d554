"""What came of a run, read from the events that it left in Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from textwrap import shorten
from typing import Any, Literal

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource
from dagster_shared.error import SerializableErrorInfo

from billingo_assets.names import RAW_INVOICES

Status = Literal["success", "partial", "failed", "canceled", "running"]

COUNTS = ("processed", "created", "updated", "unchanged", "deleted", "skipped", "items", "api_calls")
"""What `raw_invoices` tells in its metadata, and an outcome repeats."""

REJECTIONS = "no_rejected_documents"

INTERRUPTED = "It was interrupted. What it had stored is kept; the next run goes on from there."
KILLED = "Its process was killed. What it had stored is kept; the next run goes on from there."
UNRECORDED = (
    "Its process could not store its result, as when PostgreSQL does not answer. What it had stored is kept; the next"
    " run goes on from there."
)
DISCONNECTED = "The connection to the database was lost during the run. What was stored is kept; sync again."
NO_SPACE = "The database's disk is full. Free some space and sync again: what was stored is kept."
DATABASE_CRASHES = {
    "OperationalError": DISCONNECTED,
    "InterfaceError": DISCONNECTED,
    "AdminShutdown": DISCONNECTED,
    "CrashShutdown": DISCONNECTED,
    "CannotConnectNow": DISCONNECTED,
    "DagsterPostgresException": DISCONNECTED,
    "DiskFull": NO_SPACE,
}
"""By the class of the first error of a chain: what a run says of Dagster's own connection to the database."""

NEVER_BEGAN = "It was never started, so nothing was read. Start it again once the cause is gone."
"""Of a run that Dagster gave up without a word why."""

ENDED_BY_ITSELF = "unexpectedly exited with code"
"""What a code server notes of a run's process that no signal ended."""

MARKED_FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."
"""Dagster's words where it has none to say why, as when a code server finds a run's process gone."""


OUTCOME_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.RUN_START,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}

SAID_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, of one document, of one check that failed, or (both None) of the whole run.

    A document in quarantine only warns, as the check of it does.
    """

    error: str
    document_id: int | None = None
    check: str | None = None
    warns: bool = False

    def as_json(self) -> dict[str, Any]:
        """Without `document_id` and `check` where it concerns none."""
        named = {"document_id": self.document_id, "error": self.error, "check": self.check}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run did for one company: `partial` when it went through, but something is to be looked at."""

    key: str
    id: int
    name: str
    status: Status
    run_id: str
    duration_seconds: float
    mode: Literal["full", "incremental"] = "full"
    reason: str = ""
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    items: int = 0
    api_calls: int = 0
    errors: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether the run failed, or one of its checks did. That one warns, as of a document in quarantine, is less."""
        return self.status == "failed" or any(fault.check for fault in self.errors)


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """An outcome as history has it: with when the run started, and who or what triggered it.

    `is_retried` says of a run that failed that another took its place, or is about to.
    """

    outcome: Outcome
    started_at: datetime
    trigger: str
    is_retried: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the events of a run tell: counts by name, why it failed, the checks that failed.

    `error_type` is the class of the error that a step failed with, `None` without one. `notes` are what the sync says
    once, of what is no fault. `rejected` counts the documents that the run found in quarantine, accepted or not; None
    when it did not get so far.
    """

    counts: Mapping[str, Any]
    failures: tuple[str, ...]
    failed_checks: tuple[dg.AssetCheckEvaluation, ...]
    error_type: str | None
    notes: tuple[str, ...] = ()
    rejected: int | None = None

    @property
    def quarantine(self) -> tuple[str, ...]:
        """What the run said of the documents in quarantine, where they can no longer be listed one by one."""
        return tuple(_in_words(check) for check in self._rejections)

    @property
    def _rejections(self) -> list[dg.AssetCheckEvaluation]:
        return [check for check in self.failed_checks if check.check_name == REJECTIONS]

    @property
    def errors(self) -> tuple[str, ...]:
        """Why a run that failed did: in its steps' own words, or those of the checks that stopped it."""
        stopped = tuple(_in_words(check) for check in self.failed_checks if _stops(check))
        return self.failures or stopped or ("The run failed; its log in Dagster says why.",)

    @property
    def check_errors(self) -> tuple[Fault, ...]:
        """The checks that failed and stopped nothing."""
        return tuple(
            Fault(_in_words(check), check=check.check_name)
            for check in self.failed_checks
            if _is_error(check) and not _stops(check)
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the sync says, and the checks that warn; what is in quarantine is told document by document."""
        return self.notes + tuple(
            _in_words(check) for check in self.failed_checks if not _is_error(check) and check.check_name != REJECTIONS
        )


def duration_of(record: dg.RunRecord, now: datetime) -> float:
    """How long a run took, in seconds, from its start to its end; up to `now` if it goes on, 0 if it never began.

    Wherever the duration of a sync is shown, it is this one, which Dagster's UI shows for the run as well.
    """
    if record.start_time is None:
        return 0.0
    return round((record.end_time or now.timestamp()) - record.start_time, 3)


def events_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    """The events of a run that tell what came of it, in order."""
    for entry in instance.all_logs(run_id, of_type=OUTCOME_EVENTS):
        if entry.dagster_event is not None:
            yield entry.dagster_event


def read_events(events: Iterable[dg.DagsterEvent]) -> Told:
    """Read what a run tells of itself."""
    counts: dict[str, Any] = {}
    failures: list[str] = []
    crashes: list[str] = []
    failed_checks = []
    error_type = None
    notes: tuple[str, ...] = ()
    rejected: int | None = None
    began, ended_by_itself, why = False, False, ""
    for event in events:
        metadata: Mapping[str, dg.MetadataValue[Any]] = {}
        if event.is_step_materialization and event.asset_key == RAW_INVOICES:
            metadata = event.step_materialization_data.materialization.metadata
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed:
                failed_checks.append(check)
            if check.check_name == REJECTIONS:
                rejected = _whole(check.metadata.get("found")) + _whole(check.metadata.get("accepted"))
        elif is_interrupt(event):
            crashes = crashes or [INTERRUPTED]  # the step tells, and its run once more
            error_type = error_type or DagsterExecutionInterruptedError.__name__
        elif event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                metadata = failure.user_failure_data.metadata
                failures.append(failure.user_failure_data.description)
                error_type = error_type or (str(metadata["error"].value) if "error" in metadata else None)
            elif failure.error is not None:
                crashes.append(crash_in_words(failure.error))
                error_type = error_type or (failure.error.cause or failure.error).cls_name
        elif event.event_type == dg.DagsterEventType.RUN_START:
            began = True
        elif event.event_type == dg.DagsterEventType.ENGINE_EVENT:
            error = event.engine_event_data.error
            why = shorten((error.cause or error).message, SAID_LENGTH, placeholder=" …") if error else why
            ended_by_itself |= ENDED_BY_ITSELF in (event.message or "")
        elif event.is_failure and event.message and not failures and not crashes:
            ended = UNRECORDED if ended_by_itself else KILLED
            crashes.append(_in_our_words(event.message.strip(), began=began, why=why, ended=ended))
        if "mode" in metadata:
            counts = {"mode": metadata["mode"].value, "reason": metadata["reason"].value}
            counts |= {name: _whole(metadata[name]) for name in COUNTS}
            notes = tuple(str(metadata["warnings"].value).splitlines()) if "warnings" in metadata else ()
    # A check that stops a run makes its step fail as well; the check's words say more.
    stopped = any(_stops(check) for check in failed_checks)
    return Told(
        counts=counts,
        failures=tuple(failures or ([] if stopped else crashes)),
        failed_checks=tuple(failed_checks),
        error_type=error_type,
        notes=notes,
        rejected=rejected,
    )


def is_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether Ctrl-C or a signal ended the run: amid a step, or before the first, or after the last."""
    if event.is_step_failure:
        return event.step_failure_data.error_source is ErrorSource.INTERRUPT
    data = event.event_specific_data
    return isinstance(data, JobFailureData) and data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION


def crash_in_words(error: SerializableErrorInfo) -> str:
    """What is to be said of an error that nobody foresaw in a step."""
    first = error
    while first.cause is not None:
        first = first.cause
    return DATABASE_CRASHES.get(first.cls_name or "") or (error.cause or error).message.strip()


def _in_our_words(message: str, *, began: bool, why: str, ended: str) -> str:
    """What is to be said of a run that was marked as failed by others, Dagster's frame around it left out.

    `why` is the error that Dagster itself met with the run, if it did; `ended`, what else became of its process.
    """
    if message != MARKED_FROM_OUTSIDE:
        return KILLED if KILLED in message else message
    if began:
        return f"It broke off: {why} What it had stored is kept; the next run goes on from there." if why else ended
    return f"It was never started: {why} Nothing was read. Start it again once that is mended." if why else NEVER_BEGAN


def _whole(value: dg.MetadataValue[Any] | None) -> int:
    if isinstance(value, dg.TextMetadataValue) and value.value:  # of a check
        return int(value.value.replace(",", ""))
    return value.value or 0 if isinstance(value, dg.IntMetadataValue) else 0


def _in_words(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.check_name}: {check.description}"


def _is_error(check: dg.AssetCheckEvaluation) -> bool:
    return check.severity is dg.AssetCheckSeverity.ERROR


def _stops(check: dg.AssetCheckEvaluation) -> bool:
    """Whether this failure keeps the assets downstream from being made."""
    return bool(check.blocking) and _is_error(check)
