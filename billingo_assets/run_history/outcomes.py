"""The outcome of a sync, as `sync` and `history` show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import dagster as dg

Status = Literal["success", "partial", "failed", "canceled", "running"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one document, of one failed check, or (both None) of the whole run.

    A document in quarantine only warns, like its check.
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
    """The outcome of one run for one company: `partial` if it succeeded, but a person has to look at something."""

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
        """Whether the run or one of its checks failed. Warnings, such as documents in quarantine, do not count."""
        return self.status == "failed" or any(fault.check for fault in self.errors)


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """An outcome in the history, with the start of the run and its trigger, a person or a schedule.

    `is_retried` says that another run took the place of a failed one, or is about to.
    """

    outcome: Outcome
    started_at: datetime
    trigger: str
    is_retried: bool = False


def duration_of(record: dg.RunRecord, now: datetime) -> float:
    """How long a run took, in seconds, from its start to its end; up to `now` if it is running, 0 if it never began.

    `sync` and `history` both show this duration, and so does Dagster's UI.
    """
    if record.start_time is None:
        return 0.0
    return round((record.end_time or now.timestamp()) - record.start_time, 3)
