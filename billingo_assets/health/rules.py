"""Judges the state of a company from facts: green, yellow or red, and why. Reads nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from billingo_assets.checks import CHECKS
from billingo_assets.companies.registry import Company
from billingo_assets.companies.schedule import cron_line
from billingo_assets.cron import next_tick
from billingo_assets.run_history.verdicts import FailedRun
from billingo_assets.settings import Settings

Severity = Literal["warning", "error"]
Color = Literal["green", "yellow", "red", "disabled"]

RUN_FAILED = "run_failed"
STALE = "stale"
NO_API_KEY = "no_api_key"

WARNING_AGE = timedelta(hours=24)
ERROR_AGE = timedelta(hours=48)

GRACE = timedelta(hours=1)
"""How late a sync may end before it counts as missed: the companies of one tick are synced one after another."""

SHARED_ERRORS = frozenset({"UnavailableError", "RateLimitError", "MalformedAnswerError", "DatabaseUnavailableError"})
"""Failures that concern every company: the API, the network or the database is down."""


def is_shared(reason: str) -> bool:
    """Whether a reason is the same for every company: the API or the database, not the company."""
    return reason.removeprefix(f"{RUN_FAILED}:") in SHARED_ERRORS


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a company. Problems of several companies with one `reason` share a message."""

    kind: str
    severity: Severity
    reason: str
    summary: str
    run_id: str | None = None

    @property
    def is_shared(self) -> bool:
        """Whether it concerns every company."""
        return is_shared(self.reason)


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check with a failure as its last result for the company."""

    name: str
    severity: Severity
    description: str
    run_id: str


class Moments(NamedTuple):
    """When a company's syncs began to be expected (it was added or enabled), and when its last complete sync ended."""

    expected_since: datetime
    synced_at: datetime | None

    @property
    def counted_from(self) -> datetime:
        """When its age begins. If it was disabled for a month, nobody expects yesterday's sync."""
        return max(self.synced_at or self.expected_since, self.expected_since)

    @property
    def is_synced(self) -> bool:
        """Whether it was synced since syncs began to be expected."""
        return self.synced_at is not None and self.synced_at >= self.expected_since


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts about a company at a moment."""

    company: Company
    moments: Moments
    is_being_synced: bool
    waits_for_daemon: bool
    failed_run: FailedRun | None
    failed_checks: tuple[FailedCheck, ...]


@dataclass(frozen=True, slots=True)
class CompanyHealth:
    """A company's state: its problems, the worst first, its last and its next sync.

    `waits_for_daemon`: a sync of it waits, or its process is gone, and needs a running daemon.
    """

    company: Company
    color: Color
    problems: tuple[Problem, ...]
    synced_at: datetime | None
    next_sync_at: datetime | None
    is_being_synced: bool
    waits_for_daemon: bool


def assess(facts: Facts, now: datetime, settings: Settings) -> CompanyHealth:
    """Judge a company. A disabled one has no problems, because nobody expects a sync of it."""
    company, synced_at = facts.company, facts.moments.synced_at
    if not company.enabled:
        return CompanyHealth(company, "disabled", (), synced_at, None, facts.is_being_synced, facts.waits_for_daemon)
    problems = sorted(_problems(facts, now, settings), key=lambda problem: problem.severity)  # "error" < "warning"
    color: Color = "green"
    if problems:
        color = "red" if problems[0].severity == "error" else "yellow"
    elif synced_at is None or staleness(company, synced_at, now, settings) is not None:
        color = "yellow"
    cron = cron_line(company.schedule, settings)
    due = next_tick(cron, now, settings.timezone) if cron else None
    return CompanyHealth(company, color, tuple(problems), synced_at, due, facts.is_being_synced, facts.waits_for_daemon)


class Limits(NamedTuple):
    """The ages at which a company without a sync has a problem: first a warning, then an error."""

    warning: timedelta
    error: timedelta


def limits_of_age(company: Company, since: datetime, settings: Settings) -> Limits | None:
    """How long a company that was last synced (or registered) at `since` may go without a sync; None: without limit.

    A day is a warning and two are an error. If later, GRACE after the next sync was due is a warning, and a day more an
    error: over the weekend for `hourly`, after a week for `weekly`, never for `manual`. So all companies of one tick,
    which are synced one after another, count as missed at the same moment.
    """
    cron = cron_line(company.schedule, settings)
    if cron is None:
        return None
    pause = next_tick(cron, since, settings.timezone) - since
    return Limits(max(WARNING_AGE, pause + GRACE), max(ERROR_AGE, pause + GRACE + ERROR_AGE - WARNING_AGE))


def staleness(company: Company, since: datetime, now: datetime, settings: Settings) -> Severity | None:
    """The severity now if a company was last synced (or registered) at `since`; None: no problem."""
    limits = limits_of_age(company, since, settings)
    if limits is None or now - since < limits.warning:
        return None
    return "warning" if now - since < limits.error else "error"


def _problems(facts: Facts, now: datetime, settings: Settings) -> list[Problem]:
    key, problems = facts.company.key, []
    if facts.company.api_key_encrypted is None:
        summary = f"{key} has no API key. Store one: billingo-assets company set-key {key}"
        problems.append(Problem(NO_API_KEY, "error", NO_API_KEY, summary))
    if (failed := facts.failed_run) is not None:
        reason = f"{RUN_FAILED}:{failed.error_type or 'unknown'}"
        problems.append(Problem(RUN_FAILED, "error", reason, failed.error, failed.run_id))
    severity = staleness(facts.company, facts.moments.counted_from, now, settings)
    # A failure of its last sync is reported, and explains why the company is not synced.
    if severity is not None and facts.failed_run is None and not (facts.is_being_synced and severity == "warning"):
        problems.append(Problem(STALE, severity, STALE, _describe_stale(facts, now, settings)))
    for check in facts.failed_checks:
        summary = f"{check.name}: {check.description} {CHECKS[check.name].advise(key)}"
        problems.append(Problem(check.name, check.severity, check.name, summary, check.run_id))
    return problems


def _describe_stale(facts: Facts, now: datetime, settings: Settings) -> str:
    what_to_do = CHECKS["synced_recently"].advise(facts.company.key)
    expected_since, synced_at = facts.moments
    if synced_at is None:
        return f"It was never synced, although it should have been for {_ago(now - expected_since)}. {what_to_do}"
    at = f"{synced_at.astimezone(settings.zone):%Y-%m-%d %H:%M}"
    return f"It was last synced {_ago(now - synced_at)} ago ({at}). {what_to_do}"


def _ago(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
