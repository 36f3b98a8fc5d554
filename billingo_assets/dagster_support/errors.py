"""Errors as Dagster shows and stores them: without secrets, and without a traceback if the words say enough.

A step's failure goes into the event log with its traceback, a sensor's with its tick, and both to the UI. All of them
are made from Python's exceptions in one function; its result is changed here.
"""

from __future__ import annotations

from traceback import TracebackException
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from billingo_assets import redaction

FAILURE = f"{dg.Failure.__module__}.{dg.Failure.__qualname__}: "
"""What Python puts before the words of a failure that was foreseen."""

_as_it_is = SerializableErrorInfo.from_traceback.__func__  # type: ignore[attr-defined]


def _redacted(cls: type[SerializableErrorInfo], found: TracebackException) -> Any:
    """Make an error of Dagster's. It calls itself for causes and contexts, so these come here as well."""
    error = _as_it_is(cls, found)
    if error.cls_name == dg.Failure.__name__:
        error = error._replace(message=error.message.removeprefix(FAILURE), stack=[])
    return error._replace(
        message=redaction.redact(error.message), stack=[redaction.redact(frame) for frame in error.stack]
    )


def install() -> None:
    """Redact every error that this process makes. To call it again changes nothing."""
    SerializableErrorInfo.from_traceback = classmethod(_redacted)  # type: ignore[method-assign,assignment]
