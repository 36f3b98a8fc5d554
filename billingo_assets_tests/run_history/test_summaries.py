"""What a run's summary says, event by event: Dagster's own events, without a run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import (
    EngineEventData,
    JobCanceledData,
    JobFailureData,
    RunFailureReason,
    StepMaterializationData,
)
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData, UserFailureData
from dagster_shared.error import SerializableErrorInfo

from billingo_assets.names import INVOICES, RAW_INVOICES
from billingo_assets.run_history.crashes import (
    DISCONNECTED,
    INTERRUPTED,
    KILLED,
    MARKED_FROM_OUTSIDE,
    NEVER_BEGAN,
    UNRECORDED,
)
from billingo_assets.run_history.outcomes import Fault
from billingo_assets.run_history.summaries import COUNTS, RunSummary, summarize

Type = dg.DagsterEventType
WORDLESS = ("The run failed; its log in Dagster says why.",)
NUMBERS = {name: number for number, name in enumerate(COUNTS)}
GONE = "Multiprocess executor: child process 7 unexpectedly exited with code 1"


def event(type_: dg.DagsterEventType, data: Any = None, message: str | None = None) -> dg.DagsterEvent:
    return dg.DagsterEvent(type_.value, "sync_company", event_specific_data=data, message=message)


def error(words: str, type_: str = "ValueError", cause: SerializableErrorInfo | None = None) -> SerializableErrorInfo:
    return SerializableErrorInfo(words, [], type_, cause)


def counts(**texts: str) -> dict[str, Any]:
    return {"mode": "incremental", "reason": "", **NUMBERS, **texts}


def made(metadata: dict[str, Any], asset: dg.AssetKey = RAW_INVOICES) -> dg.DagsterEvent:
    return event(Type.ASSET_MATERIALIZATION, StepMaterializationData(dg.AssetMaterialization(asset, metadata=metadata)))


def checked(
    name: str, passed: bool = False, *, stops: bool = False, warns: bool = False, **found: Any
) -> dg.DagsterEvent:
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    metadata = {name: dg.MetadataValue.text(value) for name, value in found.items()}
    check = dg.AssetCheckEvaluation(
        RAW_INVOICES, name, passed, metadata, severity=severity, description="Look.", blocking=stops
    )
    return event(Type.ASSET_CHECK_EVALUATION, check)


def foreseen(words: str, **metadata: Any) -> dg.DagsterEvent:
    values = {
        name: dg.MetadataValue.int(one) if isinstance(one, int) else dg.MetadataValue.text(one)
        for name, one in metadata.items()
    }
    failure = StepFailureData(error("dagster.Failure"), UserFailureData("", words, values), ErrorSource.USER_CODE_ERROR)
    return event(Type.STEP_FAILURE, failure)


def crashed(cause: SerializableErrorInfo) -> dg.DagsterEvent:
    around = error("Error occurred while executing a step", "DagsterExecutionStepExecutionError", cause)
    return event(Type.STEP_FAILURE, StepFailureData(around, None))


def engine(words: str = "", failed: SerializableErrorInfo | None = None) -> dg.DagsterEvent:
    return event(Type.ENGINE_EVENT, EngineEventData(error=failed), words)


def run_failed(
    words: str = MARKED_FROM_OUTSIDE, reason: RunFailureReason = RunFailureReason.UNKNOWN
) -> dg.DagsterEvent:
    return event(Type.RUN_FAILURE, JobFailureData(None, reason), words)


BEGAN = event(Type.RUN_START)
STEP_INTERRUPTED = event(
    Type.STEP_FAILURE, StepFailureData(error("", "DagsterExecutionInterruptedError"), None, ErrorSource.INTERRUPT)
)
RUN_INTERRUPTED = run_failed("It was terminated.", RunFailureReason.UNEXPECTED_TERMINATION)
CANCELED = event(Type.RUN_CANCELED, JobCanceledData(None), 'Execution of run for "sync_company" canceled.')
STOPPED = checked("all_there", stops=True)
CRASH = crashed(error("division by zero", "ZeroDivisionError"))
UNSAID = event(Type.STEP_FAILURE, StepFailureData(None, None))


@pytest.mark.parametrize(
    ("events", "errors"),
    [
        ([], WORDLESS),
        ([UNSAID], WORDLESS),
        ([foreseen("The key is revoked."), run_failed("Steps failed.")], ("The key is revoked.",)),
        ([foreseen("One."), foreseen("Two.")], ("One.", "Two.")),
        ([CRASH, run_failed("Steps failed.")], ("division by zero",)),
        ([CRASH, foreseen("The key is revoked.")], ("The key is revoked.",)),
        ([crashed(error("x", "OperationalError"))], (DISCONNECTED,)),
        ([STOPPED, CRASH], ("all_there: Look.",)),
        ([STOPPED, foreseen("The key is revoked.")], ("The key is revoked.",)),
        ([checked("totals"), run_failed("Odd.")], ("Odd.",)),
        ([STEP_INTERRUPTED, RUN_INTERRUPTED], (INTERRUPTED,)),
        ([RUN_INTERRUPTED], (INTERRUPTED,)),
        ([CRASH, RUN_INTERRUPTED], ("division by zero",)),
        ([CANCELED], ('Execution of run for "sync_company" canceled.',)),
        ([run_failed("  Odd.  ")], ("Odd.",)),
        ([run_failed("")], WORDLESS),
        ([run_failed(f"In a frame: {KILLED}")], (KILLED,)),
        ([run_failed()], (NEVER_BEGAN,)),
        (
            [engine(failed=error("No code location.")), run_failed()],
            ("It was never started: No code location. Nothing was read. Fix that, then start it again.",),
        ),
        ([BEGAN, run_failed()], (KILLED,)),
        ([BEGAN, engine(GONE), run_failed()], (UNRECORDED,)),
        (
            [BEGAN, engine(GONE, error("around", cause=error("No memory."))), engine("Cleaned up."), run_failed()],
            ("It broke off: No memory. The data stored so far is kept; the next run continues from there.",),
        ),
    ],
)
def test_a_failed_run_says_why(events: list[dg.DagsterEvent], errors: tuple[str, ...]) -> None:
    assert summarize(events).errors == errors


@pytest.mark.parametrize(
    ("events", "type_"),
    [
        ([CRASH], "ZeroDivisionError"),
        ([foreseen("No.", error="CompanyBusyError"), CRASH], "CompanyBusyError"),
        ([foreseen("No."), CRASH], "ZeroDivisionError"),
        ([RUN_INTERRUPTED], DagsterExecutionInterruptedError.__name__),
        ([BEGAN, STOPPED, run_failed()], None),
    ],
)
def test_the_first_error_of_a_step_gives_its_class(events: list[dg.DagsterEvent], type_: str | None) -> None:
    assert summarize(events).error_type == type_


def test_the_counts_are_those_of_raw_invoices_and_their_warnings_are_notes() -> None:
    summary = summarize([made({"mode": "full"}, INVOICES), made(counts(warnings="One.\nTwo."))])
    assert summary.counts == {"mode": "incremental", "reason": "", **NUMBERS}
    assert (summary.notes, summary.warnings) == (("One.", "Two."), ("One.", "Two."))


def test_a_sync_that_failed_still_counts_what_it_read() -> None:
    summary = summarize([foreseen("It differs.", error="NotSettledError", **counts())])
    assert (summary.counts["processed"], summary.counts["items"]) == (NUMBERS["processed"], NUMBERS["items"])


def test_a_retry_of_a_step_has_the_last_word_on_counts_and_notes() -> None:
    summary = summarize([foreseen("No.", **counts(warnings="Old.")), made(counts())])
    assert (summary.counts["mode"], summary.notes) == ("incremental", ())


def test_each_failed_check_is_an_error_a_warning_or_quarantine() -> None:
    summary = summarize(
        [
            checked("fine", passed=True),
            checked("stops", stops=True),
            checked("fails"),
            checked("warns", warns=True),
            checked("no_rejected_documents", warns=True, found="1,200", accepted="3"),
        ]
    )
    assert summary.check_errors == (Fault("fails: Look.", check="fails"),)
    assert (summary.warnings, summary.quarantine) == (("warns: Look.",), ("no_rejected_documents: Look.",))
    assert (len(summary.failed_checks), summary.rejected) == (4, 1203)


def test_a_quarantine_that_was_accepted_is_counted_although_its_check_passes() -> None:
    summary = summarize([checked("no_rejected_documents", passed=True, accepted="3")])
    assert (summary.rejected, summary.quarantine) == (3, ())


def test_events_that_say_nothing_of_the_outcome_change_nothing() -> None:
    quiet = [event(type_) for type_ in (Type.STEP_START, Type.RUN_ENQUEUED, Type.RUN_SUCCESS)]
    assert summarize(quiet) == RunSummary()
