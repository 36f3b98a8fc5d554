"""Explains in words why a run broke off, from the errors and endings that Dagster records for it."""

from __future__ import annotations

from textwrap import shorten

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource
from dagster_shared.error import SerializableErrorInfo

INTERRUPTED = "It was interrupted. The data stored so far is kept; the next run continues from there."
KILLED = "Its process was killed. The data stored so far is kept; the next run continues from there."
UNRECORDED = (
    "Its process could not store its result, perhaps because PostgreSQL did not answer. The data stored so far is kept;"
    " the next run continues from there."
)
DISCONNECTED = "The connection to the database was lost during the run. The data stored so far is kept; sync again."
NO_SPACE = "The database's disk is full. Free some space and sync again: the data stored so far is kept."
NEVER_BEGAN = "It was never started, so nothing was read. Start it again once the cause is gone."
"""For a run that Dagster gave up without a reason."""

DATABASE_CRASHES = {
    "OperationalError": DISCONNECTED,
    "InterfaceError": DISCONNECTED,
    "AdminShutdown": DISCONNECTED,
    "CrashShutdown": DISCONNECTED,
    "CannotConnectNow": DISCONNECTED,
    "DagsterPostgresException": DISCONNECTED,
    "DiskFull": NO_SPACE,
}
"""Sentences by the class of the first error of a chain, for Dagster's own connection to the database."""

ENDED_BY_ITSELF = "unexpectedly exited with code"
"""The note of a code server about a run's process that ended without a signal."""

MARKED_FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."
"""Dagster's words if it does not know why a run failed, for example because a code server found its process gone."""

EXCERPT_LENGTH = 300


def is_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether Ctrl-C or a signal ended the run: during a step, before the first, or after the last."""
    if event.is_step_failure:
        return event.step_failure_data.error_source is ErrorSource.INTERRUPT
    data = event.event_specific_data
    return isinstance(data, JobFailureData) and data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION


def crash_in_words(error: SerializableErrorInfo) -> str:
    """Describe an unforeseen error in a step."""
    first = error
    while first.cause is not None:
        first = first.cause
    return DATABASE_CRASHES.get(first.cls_name or "") or (error.cause or error).message.strip()


def excerpt(error: SerializableErrorInfo) -> str:
    """The beginning of an error that Dagster itself had with a run."""
    return shorten((error.cause or error).message, EXCERPT_LENGTH, placeholder=" …")


def ending_in_words(message: str, *, has_begun: bool, ended_by_itself: bool, why: str) -> str:
    """Describe why a run failed outside its steps. `message` is Dagster's.

    `why` is the error that Dagster itself had with the run, empty without one. `ended_by_itself` says that no signal
    ended the run's process.
    """
    if message != MARKED_FROM_OUTSIDE:
        return KILLED if KILLED in message else message
    if not has_begun:
        return f"It was never started: {why} Nothing was read. Fix that, then start it again." if why else NEVER_BEGAN
    if why:
        return f"It broke off: {why} The data stored so far is kept; the next run continues from there."
    return UNRECORDED if ended_by_itself else KILLED
