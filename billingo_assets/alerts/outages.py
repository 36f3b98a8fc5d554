"""Remembers what is out, and decides what is to be told of it: each outage once, and once that it is over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

from billingo_assets.alerts.channels import Message
from billingo_assets.alerts.wording import Affected, Recovered, describe_outage, describe_recovery
from billingo_assets.companies.registry import Company
from billingo_assets.health.rules import Problem, Severity, is_shared

HOLD = timedelta(minutes=10)
"""How long news waits for the runs that are still going: many companies that fail for one reason are one message.

When one has waited so long, all that wait go out together, or each would be a message of its own.
"""

_ORDER = {"error": 0, "warning": 1}

_LOCK = text("LOCK TABLE billingo.outages IN SHARE ROW EXCLUSIVE MODE")
_UNSETTLED = text(
    """
    SELECT id, company_id, kind, severity, reason, summary, run_id, since, told_at, told_severity, told_reason, ended_at
    FROM billingo.outages WHERE ended_at IS NULL OR end_told_at IS NULL ORDER BY id
    """
)
_OPEN = text(
    """
    INSERT INTO billingo.outages (company_id, kind, severity, reason, summary, run_id, since)
    VALUES (:company_id, :kind, :severity, :reason, :summary, :run_id, :now)
    """
)
_SEE_AGAIN = text(
    """
    UPDATE billingo.outages
    SET severity = :severity, reason = :reason, summary = :summary, run_id = :run_id,
        -- One that was over before anybody was told is another now.
        since = CASE WHEN told_at IS NULL AND ended_at IS NOT NULL THEN :now ELSE since END, ended_at = NULL
    WHERE id = :id
    """
)
_LAST_SUCCESS = text("SELECT max(synced_at) FROM billingo.sync_state")
_END = text("UPDATE billingo.outages SET ended_at = :now WHERE id = :id AND ended_at IS NULL")
_DELETE_MESSAGES = text("DELETE FROM billingo.alert_messages WHERE created_at < :before")
_DELETE_OUTAGES = text("DELETE FROM billingo.outages WHERE ended_at < :before")
_SETTLE = text("UPDATE billingo.outages SET end_told_at = :now WHERE id = ANY(:ids)")
_TELL = text(
    "UPDATE billingo.outages SET told_at = :now, told_severity = severity, told_reason = reason WHERE id = ANY(:ids)"
)


@dataclass(frozen=True, slots=True)
class Outage:
    """A problem as it is remembered, from when it was first seen until it is over and that was told."""

    id: int
    company_id: int | None
    kind: str
    severity: Severity
    reason: str
    summary: str
    run_id: str | None
    since: datetime
    told_at: datetime | None
    told_severity: Severity | None
    told_reason: str | None
    ended_at: datetime | None

    @property
    def problem(self) -> Problem:
        """What is wrong."""
        return Problem(self.kind, self.severity, self.reason, self.summary, self.run_id)

    @property
    def is_news(self) -> bool:
        """Whether nobody was told of it yet, or of less than it has become.

        That the API is down is told without each company's name: what is then wrong with one of them alone is news.
        """
        if self.ended_at is not None:
            return False
        is_told = self.told_severity in ("error", self.severity)
        return not is_told or (is_shared(self.told_reason or "") and not self.problem.is_shared)


class Subject(NamedTuple):
    """Whose problem: a company's, or (None) that of the whole."""

    company: Company | None
    problems: Sequence[Problem]


def lock_outages(connection: Connection) -> None:
    """Have one process at a time decide, until the transaction ends."""
    connection.execute(_LOCK)


def remember(connection: Connection, subjects: Iterable[Subject], now: datetime) -> None:
    """Open an outage for each problem that is new, and end those whose problem is gone."""
    known = {(outage.company_id, outage.kind): outage for outage in read_outages(connection)}
    for company, problems in subjects:
        company_id = company.id if company else None
        for problem in problems:
            values = {
                "company_id": company_id,
                "kind": problem.kind,
                "severity": problem.severity,
                "reason": problem.reason,
                "summary": problem.summary,
                "run_id": problem.run_id,
                "now": now,
            }
            outage = known.pop((company_id, problem.kind), None)
            if outage is None:
                connection.execute(_OPEN, values)
            elif outage.problem != problem or outage.ended_at is not None:
                connection.execute(_SEE_AGAIN, {**values, "id": outage.id})
    for outage in known.values():
        connection.execute(_END, {"id": outage.id, "now": now})


def read_outages(connection: Connection) -> list[Outage]:
    """Every outage that goes on, or whose end was not told yet, the oldest first."""
    return [Outage(*row) for row in connection.execute(_UNSETTLED)]


def prune_outages(connection: Connection, before: datetime) -> int:
    """Delete outages that ended before a moment, and messages written before it. Returns how many messages it was."""
    messages = connection.execute(_DELETE_MESSAGES, {"before": before}).rowcount
    connection.execute(_DELETE_OUTAGES, {"before": before})
    return messages


def news(
    connection: Connection, companies: Mapping[int, Company], *, busy: bool, ui_url: str, now: datetime
) -> list[Message]:
    """What is to be told now, and remember it as told.

    `companies` are those of which anybody wants to hear: of one that was removed or disabled, nothing is said any
    more. While `busy`, what is new is held for a while.
    """
    outages = read_outages(connection)
    concerned = [outage for outage in outages if outage.company_id is None or outage.company_id in companies]
    settled = [outage.id for outage in outages if outage not in concerned and outage.ended_at is not None]
    settled += [outage.id for outage in concerned if outage.ended_at is not None and outage.told_at is None]
    known = _shared_reasons(concerned, connection.scalar(_LAST_SUCCESS))
    messages, told = _news_of_outages(concerned, companies, known, busy=busy, ui_url=ui_url, now=now)
    recovered, over = _news_of_recoveries(concerned, companies, busy=busy, now=now)
    connection.execute(_TELL, {"ids": told, "now": now})
    connection.execute(_SETTLE, {"ids": settled + over, "now": now})
    return messages + recovered


def _shared_reasons(outages: Sequence[Outage], last_success: datetime | None) -> set[str]:
    """The reasons of which everybody knows, as that the API is down, and which may last.

    Whichever company was synced since is proof that such a reason is over, though another has not been tried again.
    """
    return {
        outage.told_reason
        for outage in outages
        if outage.ended_at is None
        and outage.told_reason is not None
        and outage.told_at is not None
        and (last_success is None or outage.told_at > last_success)
    }


def _news_of_outages(
    outages: Sequence[Outage],
    companies: Mapping[int, Company],
    known: Collection[str],
    *,
    busy: bool,
    ui_url: str,
    now: datetime,
) -> tuple[list[Message], list[int]]:
    fresh = [outage for outage in outages if outage.is_news]
    if busy and all(now - outage.since < HOLD for outage in fresh):
        return [], []
    by_subject: dict[int | None, list[Outage]] = defaultdict(list)
    for outage in fresh:
        # Of an API that is down, everybody knows: the companies that meet it later are the same outage.
        if not (outage.problem.is_shared and outage.reason in known):
            by_subject[outage.company_id].append(outage)
    groups: dict[tuple[str, str], list[Affected]] = defaultdict(list)
    ids: dict[tuple[str, str], list[int]] = defaultdict(list)
    for company_id, own in by_subject.items():
        own.sort(key=lambda outage: _ORDER[outage.severity])
        company = companies[company_id] if company_id is not None else None
        affected = Affected(company, [outage.problem for outage in own])
        groups[own[0].reason, own[0].severity].append(affected)
        ids[own[0].reason, own[0].severity] += [outage.id for outage in own]
    messages = [replace(describe_outage(group, ui_url), outages=tuple(ids[key])) for key, group in groups.items()]
    return messages, [outage.id for outage in fresh]


def _news_of_recoveries(
    outages: Collection[Outage], companies: Mapping[int, Company], *, busy: bool, now: datetime
) -> tuple[list[Message], list[int]]:
    """Of an error, once no other error is left; of a warning, once nothing is."""
    going_on: dict[int | None, list[Outage]] = defaultdict(list)
    for outage in outages:
        if outage.ended_at is None:
            going_on[outage.company_id].append(outage)
    recovered: dict[int | None, list[Outage]] = defaultdict(list)
    waiting = []
    for outage in outages:
        if (
            outage.ended_at is not None
            and outage.told_at is not None
            and all(_ORDER[other.severity] > _ORDER[outage.severity] for other in going_on[outage.company_id])
        ):
            recovered[outage.company_id].append(outage)
            waiting.append(now - outage.ended_at)
    if not recovered or (busy and max(waiting) < HOLD):
        return [], []
    subjects = [
        Recovered(
            company=companies[company_id] if company_id is not None else None,
            after=max(outage.ended_at or now for outage in own) - min(outage.since for outage in own),
            remaining=[other.problem for other in going_on[company_id]],
        )
        for company_id, own in recovered.items()
    ]
    over = [outage.id for own in recovered.values() for outage in own]
    return [replace(describe_recovery(subjects), outages=tuple(over))], over
