"""Decides which outages to report: each once, and its end once. Reads and writes nothing itself.

An outage is in one of six states, by the last look at the problem and the last report:

    new ───> reported <──> worse    it goes on: not reported, reported, or worse than reported
     │           │           │
     v           v           │
    passed     over <────────┘      it ended before it was reported, or its end is still to be reported
     │           │
     └> closed <─┘                  nothing is left to report

If the problem comes back before the outage is closed, `passed` becomes `new` and `over` becomes `reported` or `worse`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from billingo_assets.alerts.channels import Message
from billingo_assets.alerts.wording import Affected, Recovered, describe_outage, describe_recovery
from billingo_assets.companies.registry import Company
from billingo_assets.health.rules import Problem, Severity, is_shared

State = Literal["new", "reported", "worse", "over", "passed", "closed"]

HOLD = timedelta(minutes=10)
"""How long reports wait for runs under way, so that many companies that fail for one reason share a message.

Once one report has waited this long, all waiting ones go out together; otherwise each would be a separate message.
"""

_ORDER = {"error": 0, "warning": 1}

Key = tuple[int | None, str]
"""The key of an outage: a company has at most one open outage of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A problem of a company (None: of no single company) from when it was first seen until its end was reported.

    `id` is None until it is stored. `reported_severity` and `reported_reason` are those of the last message about it.
    """

    company_id: int | None
    problem: Problem
    since: datetime
    id: int | None = None
    reported_at: datetime | None = None
    reported_severity: Severity | None = None
    reported_reason: str | None = None
    ended_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def key(self) -> Key:
        """The key by which the same problem is recognized again."""
        return self.company_id, self.problem.kind

    @property
    def state(self) -> State:
        """Its state. All decisions about an outage depend on it."""
        if self.closed_at is not None:
            return "closed"
        if self.ended_at is not None:
            return "passed" if self.reported_at is None else "over"
        if self.reported_at is None:
            return "new"
        is_more_severe = self.reported_severity not in ("error", self.problem.severity)
        # A message that the API is down does not cover a problem of a single company.
        became_its_own = is_shared(self.reported_reason or "") and not self.problem.is_shared
        return "worse" if is_more_severe or became_its_own else "reported"

    @property
    def goes_on(self) -> bool:
        """Whether its problem is there."""
        return self.state in ("new", "reported", "worse")

    def seen(self, problem: Problem, now: datetime) -> Outage:
        """Record that its problem exists. If it had passed before it was reported, it begins now."""
        since = now if self.state == "passed" else self.since
        return replace(self, problem=problem, since=since, ended_at=None)

    def gone(self, now: datetime) -> Outage:
        """Record that its problem is over."""
        return replace(self, ended_at=now) if self.goes_on else self

    def reported(self, now: datetime) -> Outage:
        """Record that a message about it was written, or that a message about all companies covers it."""
        problem = self.problem
        return replace(self, reported_at=now, reported_severity=problem.severity, reported_reason=problem.reason)

    def closed(self, now: datetime) -> Outage:
        """Record that nothing is left to report."""
        return replace(self, closed_at=now)


class Subject(NamedTuple):
    """The subject of problems: a company, or None for no single company."""

    company: Company | None
    problems: Sequence[Problem]


class Audience(NamedTuple):
    """The readers of the reports, who want those about `companies`, by id. `busy` while runs are under way."""

    companies: Mapping[int, Company]
    busy: bool
    ui_url: str

    def cares_for(self, outage: Outage) -> bool:
        """Whether to report it. Problems of removed or disabled companies are no longer reported."""
        return outage.company_id is None or outage.company_id in self.companies


class Report(NamedTuple):
    """A message, and the outages that it reports, or reports as over."""

    message: Message
    outages: Sequence[Key]


class Plan(NamedTuple):
    """The outages to store, in their new state, and the reports to send."""

    outages: Sequence[Outage]
    reports: Sequence[Report]


def plan(
    known: Iterable[Outage],
    subjects: Iterable[Subject],
    now: datetime,
    *,
    audience: Audience | None,
    last_success: datetime | None = None,
) -> Plan:
    """Compare the open outages, the oldest first, with the present problems.

    Without an audience nothing is reported, and nothing closed. `last_success` is when a sync of any company last
    succeeded.
    """
    before = {outage.key: outage for outage in known}
    present = _observe(before, subjects, now)
    reports: list[Report] = []
    if audience is not None:
        wanted = [outage for outage in present.values() if audience.cares_for(outage)]
        going_on = _by_company(outage for outage in wanted if outage.goes_on)
        fresh = _due((outage for outage in wanted if outage.state in ("new", "worse")), audience, now)
        ended = _due((outage for outage in wanted if _has_recovered(outage, going_on)), audience, now)
        silent = [
            outage
            for outage in present.values()
            if outage.state == "passed" or (outage.state == "over" and not audience.cares_for(outage))
        ]
        reports = _report_outages(fresh, _shared_reasons(wanted, last_success), audience)
        reports += _report_recovery(ended, going_on, audience)
        present |= {outage.key: outage.reported(now) for outage in fresh}
        present |= {outage.key: outage.closed(now) for outage in (*ended, *silent)}
    return Plan([outage for key, outage in present.items() if outage != before.get(key)], reports)


def _observe(before: Mapping[Key, Outage], subjects: Iterable[Subject], now: datetime) -> dict[Key, Outage]:
    """The outages after a look at the problems, the oldest first."""
    present = {key: outage.gone(now) for key, outage in before.items()}
    for company, problems in subjects:
        for problem in problems:
            new = Outage(company_id=company.id if company else None, problem=problem, since=now)
            old = before.get(new.key)
            present[new.key] = old.seen(problem, now) if old else new
    return present


def _due(outages: Iterable[Outage], audience: Audience, now: datetime) -> list[Outage]:
    """The outages to report now: all of them, or none while they wait for runs under way."""
    found = list(outages)
    waiting_since = min((outage.ended_at or outage.since for outage in found), default=now)
    return [] if audience.busy and now - waiting_since < HOLD else found


def _has_recovered(outage: Outage, going_on: Mapping[int | None, Sequence[Outage]]) -> bool:
    """Whether to report its end: an error's once the company has no other error, a warning's once nothing is left."""
    rest = [_ORDER[other.problem.severity] for other in going_on.get(outage.company_id, ())]
    return outage.state == "over" and all(severity > _ORDER[outage.problem.severity] for severity in rest)


def _shared_reasons(outages: Iterable[Outage], last_success: datetime | None) -> set[str]:
    """The reported reasons that concern all companies, such as that the API is down, and that may last.

    A later successful sync of any company shows that such a reason is gone.
    """
    return {
        outage.reported_reason
        for outage in outages
        if outage.goes_on
        and outage.reported_reason is not None
        and outage.reported_at is not None
        and (last_success is None or outage.reported_at > last_success)
    }


def _report_outages(fresh: Iterable[Outage], known_reasons: set[str], audience: Audience) -> list[Report]:
    """Make one report for each reason, about all companies with it.

    Once it is reported that the API is down, companies that fail for it later belong to the same outage.
    """
    by_company = _by_company(
        outage for outage in fresh if not (outage.problem.is_shared and outage.problem.reason in known_reasons)
    )
    groups: dict[tuple[str, Severity], list[list[Outage]]] = defaultdict(list)
    for own in by_company.values():
        own.sort(key=lambda outage: _ORDER[outage.problem.severity])
        groups[own[0].problem.reason, own[0].problem.severity].append(own)
    return [
        Report(
            describe_outage(
                [Affected(_company(own, audience), [one.problem for one in own]) for own in group], audience.ui_url
            ),
            [outage.key for own in group for outage in own],
        )
        for group in groups.values()
    ]


def _report_recovery(
    ended: Sequence[Outage], going_on: Mapping[int | None, Sequence[Outage]], audience: Audience
) -> list[Report]:
    """Make one report about all companies that work again, if any, with the lesser problems that remain."""
    if not ended:
        return []
    recovered = [
        Recovered(_company(own, audience), _length(own), [other.problem for other in going_on.get(company_id, ())])
        for company_id, own in _by_company(ended).items()
    ]
    return [Report(describe_recovery(recovered), [outage.key for outage in ended])]


def _by_company(outages: Iterable[Outage]) -> dict[int | None, list[Outage]]:
    grouped: dict[int | None, list[Outage]] = defaultdict(list)
    for outage in outages:
        grouped[outage.company_id].append(outage)
    return grouped


def _company(own: Sequence[Outage], audience: Audience) -> Company | None:
    company_id = own[0].company_id
    return None if company_id is None else audience.companies[company_id]


def _length(ended: Sequence[Outage]) -> timedelta:
    return max(outage.ended_at for outage in ended if outage.ended_at) - min(outage.since for outage in ended)
