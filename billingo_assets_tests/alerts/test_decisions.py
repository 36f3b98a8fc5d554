"""Every state of an outage, and what each look at its problem makes of it: pure, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import get_args

import pytest

from billingo_assets.alerts.channels import MessageSeverity
from billingo_assets.alerts.decisions import HOLD, Audience, Outage, Plan, State, Subject, plan
from billingo_assets.companies.registry import Company
from billingo_assets.health.rules import Problem

NOW = datetime(2026, 6, 1, 2, tzinfo=UTC)
BEFORE, EARLIER = NOW - timedelta(minutes=2), NOW - timedelta(minutes=4)
LONG_AGO = NOW - HOLD


def company(id_: int) -> Company:
    return Company(
        id=id_,
        key=f"company-{id_}",
        name=f"Company {id_} Kft.",
        tax_code=None,
        is_demo=False,
        enabled=True,
        schedule="daily",
        api_key_encrypted="",
    )


COMPANIES = MappingProxyType({id_: company(id_) for id_ in (1, 2)})
WARNING = Problem("stale", "warning", "stale", "Not synced for a day.")
ERROR = replace(WARNING, severity="error", summary="Not synced for two days.")
REVOKED = Problem("run_failed", "error", "run_failed:CredentialsError", "The key is revoked.")
DOWN = Problem("run_failed", "error", "run_failed:UnavailableError", "Billingo does not answer.")

NEW = Outage(id=7, company_id=1, problem=WARNING, since=EARLIER)
REPORTED = NEW.reported(BEFORE)
REPORTED_ERROR = replace(NEW, problem=ERROR).reported(BEFORE)
FELL_BACK = replace(REPORTED_ERROR, problem=WARNING)
WORSE = replace(REPORTED, problem=ERROR)
PASSED, OVER, OVER_ERROR = NEW.gone(BEFORE), REPORTED.gone(BEFORE), REPORTED_ERROR.gone(BEFORE)
ALL_DOWN = replace(NEW, problem=DOWN).reported(BEFORE)
ITS_OWN = replace(ALL_DOWN, problem=REVOKED)

LISTENING = Audience(COMPANIES, busy=False, ui_url="")
BUSY = LISTENING._replace(busy=True)
DISABLED = LISTENING._replace(companies={})


def look(*known: Outage, sees: Mapping[int, Problem], audience: Audience | None) -> Plan:
    subjects = [Subject(one, [sees[id_]] if id_ in sees else []) for id_, one in COMPANIES.items()]
    return plan(known, subjects, NOW, audience=audience)


@pytest.mark.parametrize(
    ("outage", "state"),
    [
        (NEW, "new"),
        (REPORTED, "reported"),
        (REPORTED_ERROR, "reported"),
        (FELL_BACK, "reported"),
        (ALL_DOWN, "reported"),
        (WORSE, "worse"),
        (ITS_OWN, "worse"),
        (PASSED, "passed"),
        (OVER, "over"),
        (WORSE.gone(NOW), "over"),
        (PASSED.closed(NOW), "closed"),
        (OVER.closed(NOW), "closed"),
    ],
)
def test_what_was_seen_and_reported_of_an_outage_is_its_state(outage: Outage, state: State) -> None:
    assert outage.state == state
    assert outage.goes_on == (state in ("new", "reported", "worse"))


TRANSITIONS: list[tuple[Outage | None, Problem | None, Audience | None, State | None, MessageSeverity | None]] = [
    # With a channel: new and worse outages are reported, and so is their end.
    (None, None, LISTENING, None, None),
    (None, WARNING, LISTENING, "reported", "warning"),
    (None, ERROR, LISTENING, "reported", "error"),
    (NEW, WARNING, LISTENING, "reported", "warning"),
    (NEW, ERROR, LISTENING, "reported", "error"),
    (NEW, None, LISTENING, "closed", None),
    (REPORTED, WARNING, LISTENING, "reported", None),
    (REPORTED, ERROR, LISTENING, "reported", "error"),
    (REPORTED, None, LISTENING, "closed", "recovery"),
    (REPORTED_ERROR, ERROR, LISTENING, "reported", None),
    (REPORTED_ERROR, WARNING, LISTENING, "reported", None),
    (FELL_BACK, ERROR, LISTENING, "reported", None),
    (FELL_BACK, None, LISTENING, "closed", "recovery"),
    (WORSE, ERROR, LISTENING, "reported", "error"),
    (WORSE, WARNING, LISTENING, "reported", None),
    (WORSE, None, LISTENING, "closed", "recovery"),
    (ALL_DOWN, DOWN, LISTENING, "reported", None),
    (ALL_DOWN, REVOKED, LISTENING, "reported", "error"),
    (ALL_DOWN, None, LISTENING, "closed", "recovery"),
    (ITS_OWN, REVOKED, LISTENING, "reported", "error"),
    (ITS_OWN, DOWN, LISTENING, "reported", None),
    (ITS_OWN, None, LISTENING, "closed", "recovery"),
    (PASSED, None, LISTENING, "closed", None),
    (PASSED, WARNING, LISTENING, "reported", "warning"),
    (OVER, None, LISTENING, "closed", "recovery"),
    (OVER, WARNING, LISTENING, "reported", None),
    (OVER, ERROR, LISTENING, "reported", "error"),
    (OVER_ERROR, WARNING, LISTENING, "reported", None),
    # Runs are going: what is young waits.
    (None, WARNING, BUSY, "new", None),
    (NEW, WARNING, BUSY, "new", None),
    (NEW, None, BUSY, "closed", None),
    (replace(NEW, since=LONG_AGO), WARNING, BUSY, "reported", "warning"),
    (REPORTED, ERROR, BUSY, "worse", None),
    (replace(REPORTED, since=LONG_AGO), ERROR, BUSY, "reported", "error"),
    (REPORTED, None, BUSY, "over", None),
    (OVER, None, BUSY, "over", None),
    (replace(OVER, ended_at=LONG_AGO), None, BUSY, "closed", "recovery"),
    (PASSED, None, BUSY, "closed", None),
    (PASSED, WARNING, BUSY, "new", None),
    (OVER, WARNING, BUSY, "reported", None),
    # Nobody listens: all is kept for the first one who does.
    (None, WARNING, None, "new", None),
    (NEW, WARNING, None, "new", None),
    (NEW, None, None, "passed", None),
    (REPORTED, WARNING, None, "reported", None),
    (REPORTED, ERROR, None, "worse", None),
    (REPORTED, None, None, "over", None),
    (WORSE, None, None, "over", None),
    (PASSED, None, None, "passed", None),
    (PASSED, WARNING, None, "new", None),
    (OVER, None, None, "over", None),
    (OVER, WARNING, None, "reported", None),
    (OVER, ERROR, None, "worse", None),
    # The company is disabled: nothing is reported of it, and what ends is closed.
    (NEW, WARNING, DISABLED, "new", None),
    (NEW, None, DISABLED, "closed", None),
    (REPORTED, ERROR, DISABLED, "worse", None),
    (REPORTED, None, DISABLED, "closed", None),
    (WORSE, None, DISABLED, "closed", None),
    (OVER, None, DISABLED, "closed", None),
    (PASSED, None, DISABLED, "closed", None),
]


@pytest.mark.parametrize(("outage", "problem", "audience", "state", "message"), TRANSITIONS)
def test_each_look_moves_an_outage_to_its_next_state(
    outage: Outage | None,
    problem: Problem | None,
    audience: Audience | None,
    state: State | None,
    message: MessageSeverity | None,
) -> None:
    decided = look(*[outage] if outage else [], sees={1: problem} if problem else {}, audience=audience)
    after = {one.key: one for one in decided.outages}
    result = next(iter(after.values()), outage)
    assert (result and result.state) == state
    assert [report.message.severity for report in decided.reports] == ([message] if message else [])
    assert all(key in after for report in decided.reports for key in report.outages), "reported, but not stored as such"


def test_the_table_goes_through_every_state() -> None:
    looked_at = {outage.state if outage else None for outage, *_ in TRANSITIONS}
    become = {state for *_, state, _ in TRANSITIONS}
    assert (looked_at, become) == ({*get_args(State), None} - {"closed"}, {*get_args(State), None})


def test_nothing_is_stored_of_an_outage_that_nothing_happened_to() -> None:
    assert look(REPORTED, sees={1: WARNING}, audience=LISTENING) == ([], [])


def test_an_outage_begins_again_only_if_it_passed_before_anybody_knew() -> None:
    for outage, since in ((PASSED, NOW), (OVER, EARLIER), (NEW, EARLIER)):
        (after,) = look(outage, sees={1: WARNING}, audience=None).outages or [outage]
        assert (after.since, after.ended_at) == (since, None)


def test_the_end_is_when_the_problem_was_first_seen_to_be_gone() -> None:
    (after,) = look(OVER, sees={}, audience=LISTENING).outages
    assert (after.ended_at, after.closed_at) == (BEFORE, NOW)


def test_a_company_that_meets_a_shared_outage_later_is_covered_by_its_message() -> None:
    decided = look(ALL_DOWN, sees={1: DOWN, 2: DOWN}, audience=LISTENING)
    ((later,), reports) = decided
    assert (later.company_id, later.state, reports) == (2, "reported", [])


def test_a_sync_that_went_well_since_makes_a_shared_outage_another_one() -> None:
    subjects = [Subject(one, [DOWN]) for one in COMPANIES.values()]
    decided = plan([ALL_DOWN], subjects, NOW, audience=LISTENING, last_success=NOW - timedelta(minutes=1))
    ((message, outages),) = decided.reports
    assert (message.title, outages) == ("company-2: the sync failed", [(2, "run_failed")])


@pytest.mark.parametrize(
    ("other", "state"),
    [(None, "closed"), (FELL_BACK, "closed"), (REPORTED_ERROR, "over")],
    ids=["nothing is left", "a warning is left", "an error is left"],
)
def test_an_error_is_over_once_the_company_has_no_other_error(other: Outage | None, state: State) -> None:
    failed = replace(OVER_ERROR, problem=REVOKED, id=8)
    decided = look(failed, *[other] if other else [], sees={1: other.problem} if other else {}, audience=LISTENING)
    after = {one.key: one for one in decided.outages}.get(failed.key, failed)
    assert after.state == state


def test_the_outages_of_a_company_that_is_gone_from_the_registry_end() -> None:
    (after,) = plan([REPORTED], [], NOW, audience=DISABLED).outages
    assert (after.state, after.ended_at) == ("closed", NOW)
