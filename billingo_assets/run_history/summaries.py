"""Reads the outcome of a run from its events in Dagster, with one small handler for each type of event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from billingo_assets.names import RAW_INVOICES
from billingo_assets.run_history.crashes import (
    ENDED_BY_ITSELF,
    INTERRUPTED,
    crash_in_words,
    ending_in_words,
    excerpt,
    is_interrupt,
)
from billingo_assets.run_history.outcomes import Fault

COUNTS = ("processed", "created", "updated", "unchanged", "deleted", "skipped", "items", "api_calls")
"""The counts in the metadata of `raw_invoices`, which an outcome repeats."""

REJECTIONS = "no_rejected_documents"


@dataclass(slots=True, kw_only=True)
class RunSummary:
    """The outcome of a run, from the events read so far.

    `counts` are the sync's, by name, with its mode and reason; empty if it did not get so far. `notes` are warnings of
    the sync itself. `rejected` counts the documents that the run found in quarantine, accepted or not; None if the
    check of them did not run. `error_type` is the class of the first error of a step, None without one.
    """

    counts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rejected: int | None = None
    failed_checks: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    error_type: str | None = None
    foreseen: list[str] = field(default_factory=list)
    """The reasons why steps failed, in the words of our own errors."""
    crashes: list[str] = field(default_factory=list)
    """The other reasons why steps or the run ended."""
    has_begun: bool = False
    ended_by_itself: bool = False
    engine_error: str = ""
    """The last error that Dagster itself had with the run."""

    def add(self, event: dg.DagsterEvent) -> None:
        """Take in one more event, in the order in which they happened."""
        handle = _HANDLERS.get(event.event_type)
        if handle is not None:
            handle(self, event)

    @property
    def errors(self) -> tuple[str, ...]:
        """The best explanation of a run's failure.

        A check that stops a run also crashes its step; the check's own words say more.
        """
        stopped = [_in_words(check) for check in self.failed_checks if _stops(check)]
        return tuple(self.foreseen or stopped or self.crashes or ["The run failed; its log in Dagster says why."])

    @property
    def check_errors(self) -> tuple[Fault, ...]:
        """The failed checks that did not stop the run."""
        return tuple(
            Fault(_in_words(check), check=check.check_name)
            for check in self.failed_checks
            if _is_error(check) and not _stops(check)
        )

    @property
    def quarantine(self) -> tuple[str, ...]:
        """The run's own words about documents in quarantine, in case they can no longer be listed one by one."""
        return tuple(_in_words(check) for check in self.failed_checks if check.check_name == REJECTIONS)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the sync and its checks, except those about documents in quarantine."""
        return self.notes + tuple(
            _in_words(check) for check in self.failed_checks if not _is_error(check) and check.check_name != REJECTIONS
        )


def summarize(events: Iterable[dg.DagsterEvent]) -> RunSummary:
    """Read the events of a run, in order."""
    summary = RunSummary()
    for event in events:
        summary.add(event)
    return summary


def summarize_run(instance: dg.DagsterInstance, run_id: str) -> RunSummary:
    """Read the outcome of a run from Dagster's event log."""
    entries = instance.all_logs(run_id, of_type=set(LOGGED_EVENTS))
    return summarize(entry.dagster_event for entry in entries if entry.dagster_event is not None)


def _on_materialization(summary: RunSummary, event: dg.DagsterEvent) -> None:
    if event.asset_key == RAW_INVOICES:
        _take_counts(summary, event.step_materialization_data.materialization.metadata)


def _on_check(summary: RunSummary, event: dg.DagsterEvent) -> None:
    check = event.asset_check_evaluation_data
    if not check.passed:
        summary.failed_checks.append(check)
    if check.check_name == REJECTIONS:
        summary.rejected = _whole(check.metadata.get("found")) + _whole(check.metadata.get("accepted"))


def _on_step_failure(summary: RunSummary, event: dg.DagsterEvent) -> None:
    failure = event.step_failure_data
    if is_interrupt(event):
        _on_interrupt(summary)
    elif failure.user_failure_data is not None and failure.user_failure_data.description:
        metadata = failure.user_failure_data.metadata
        summary.foreseen.append(failure.user_failure_data.description)
        summary.error_type = summary.error_type or (str(metadata["error"].value) if "error" in metadata else None)
        _take_counts(summary, metadata)
    elif failure.error is not None:
        summary.crashes.append(crash_in_words(failure.error))
        summary.error_type = summary.error_type or (failure.error.cause or failure.error).cls_name


def _on_interrupt(summary: RunSummary) -> None:
    summary.crashes = summary.crashes or [INTERRUPTED]  # the step says so, and the run once more
    summary.error_type = summary.error_type or DagsterExecutionInterruptedError.__name__


def _on_run_start(summary: RunSummary, _event: dg.DagsterEvent) -> None:
    summary.has_begun = True


def _on_engine_event(summary: RunSummary, event: dg.DagsterEvent) -> None:
    error = event.engine_event_data.error
    if error is not None:
        summary.engine_error = excerpt(error)
    summary.ended_by_itself |= ENDED_BY_ITSELF in (event.message or "")


def _on_run_failure(summary: RunSummary, event: dg.DagsterEvent) -> None:
    if is_interrupt(event):
        _on_interrupt(summary)
    elif event.message and not summary.foreseen and not summary.crashes:
        words = ending_in_words(
            event.message.strip(),
            has_begun=summary.has_begun,
            ended_by_itself=summary.ended_by_itself,
            why=summary.engine_error,
        )
        summary.crashes.append(words)


LOGGED_EVENTS: Mapping[dg.DagsterEventType, Callable[[RunSummary, dg.DagsterEvent], None]] = {
    dg.DagsterEventType.ASSET_MATERIALIZATION: _on_materialization,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION: _on_check,
    dg.DagsterEventType.STEP_FAILURE: _on_step_failure,
    dg.DagsterEventType.RUN_START: _on_run_start,
    dg.DagsterEventType.ENGINE_EVENT: _on_engine_event,
    dg.DagsterEventType.RUN_FAILURE: _on_run_failure,
}
"""The events that are read from the log, and their handlers."""

# `history` gives no reason for a canceled run; the command that runs it in its own process does.
_HANDLERS = {**LOGGED_EVENTS, dg.DagsterEventType.RUN_CANCELED: _on_run_failure}


def _take_counts(summary: RunSummary, metadata: Mapping[str, dg.MetadataValue[Any]]) -> None:
    """Read the counts of a sync, if there are any: a failed sync may have some, too."""
    if "mode" not in metadata:
        return
    summary.counts = {"mode": metadata["mode"].value, "reason": metadata["reason"].value}
    summary.counts |= {name: _whole(metadata[name]) for name in COUNTS}
    summary.notes = tuple(str(metadata["warnings"].value).splitlines()) if "warnings" in metadata else ()


def _whole(value: dg.MetadataValue[Any] | None) -> int:
    if isinstance(value, dg.TextMetadataValue) and value.value:  # of a check
        return int(value.value.replace(",", ""))
    return value.value or 0 if isinstance(value, dg.IntMetadataValue) else 0


def _in_words(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.check_name}: {check.description}"


def _is_error(check: dg.AssetCheckEvaluation) -> bool:
    return check.severity is dg.AssetCheckSeverity.ERROR


def _stops(check: dg.AssetCheckEvaluation) -> bool:
    """Whether this failure stops the assets downstream."""
    return bool(check.blocking) and _is_error(check)
