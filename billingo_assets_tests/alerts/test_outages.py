"""What is told of outages, and when: decided from problems at moments, with the tables but without runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from sqlalchemy import Connection, Engine

from billingo_assets.alerts.channels import Message
from billingo_assets.alerts.decisions import HOLD, Audience, Subject
from billingo_assets.alerts.outages import read_outages, update_outages
from billingo_assets.companies import registry
from billingo_assets.health.rules import Problem, Severity

START = datetime(2026, 6, 1, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UI = "https://dagster.example.com"

Problems = Mapping[str, Sequence[Problem]]
NO_PROBLEMS: Problems = MappingProxyType({})


def failed(error: str = "CredentialsError", summary: str = "The key is revoked.", run: str = "run-1") -> Problem:
    return Problem("run_failed", "error", f"run_failed:{error}", summary, run)


def down(run: str = "run-1") -> Problem:
    return failed("UnavailableError", "Billingo does not answer.", run)


def check(name: str = "no_number_gaps", severity: Severity = "warning") -> Problem:
    return Problem(name, severity, name, f"{name}: something is missing.", "run-1")


def stale(severity: Severity) -> Problem:
    return Problem("stale", severity, "stale", "It was last synced long ago.")


class Desk:
    """Companies, and the messages that each tick of the alerts comes to."""

    def __init__(self, connection: Connection, count: int = 3) -> None:
        self.connection = connection
        self.companies = [
            registry.add_company(
                connection, key=f"company-{number}", name=f"Company {number} Kft.", tax_code=None, api_key_encrypted=""
            )
            for number in range(1, count + 1)
        ]

    def tick(
        self,
        minute: int,
        problems: Problems = NO_PROBLEMS,
        *,
        busy: bool = False,
        without: Sequence[str] = (),
        told: bool = True,
    ) -> list[Message]:
        """Look at this minute. `without` are keys of companies that were disabled; not `told`, there is no channel."""
        now = START + minute * MINUTE
        wanted = {company.id: company for company in self.companies if company.key not in without}
        subjects = [Subject(company, problems.get(company.key, ())) for company in self.companies]
        subjects.append(Subject(None, problems.get("itself", ())))
        audience = Audience(wanted, busy, UI) if told else None
        return update_outages(self.connection, subjects, now, audience=audience)

    def keys(self, count: int) -> list[str]:
        """Of the first so many companies."""
        return [company.key for company in self.companies[:count]]


@pytest.fixture
def connection(tables: Engine) -> Iterator[Connection]:
    with tables.connect() as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def desk(connection: Connection) -> Desk:
    return Desk(connection)


def titles(messages: Sequence[Message]) -> list[str]:
    return [message.title for message in messages]


OUT = {"company-1": [failed()]}


def test_an_outage_is_told_once_and_once_that_it_is_over(desk: Desk) -> None:
    assert [titles(desk.tick(minute, problems)) for minute, problems in enumerate([OUT, OUT, {}, {}])] == [
        ["company-1: the sync failed"],
        [],
        ["company-1 works again"],
        [],
    ]


def test_a_message_says_whose_problem_it_is_what_happened_and_where_to_look(desk: Desk) -> None:
    (message,) = desk.tick(0, OUT)
    assert (message.severity, message.body) == (
        "error",
        f"company-1 (Company 1 Kft.)\n- The key is revoked.\n  {UI}/runs/run-1",
    )


def test_a_recovery_says_how_long_it_lasted(desk: Desk) -> None:
    desk.tick(0, OUT)
    (message,) = desk.tick(47)
    assert (message.severity, message.body) == ("recovery", "company-1 (Company 1 Kft.), after 47 min")


def test_companies_that_recover_together_are_each_told_with_their_own_time(desk: Desk) -> None:
    desk.tick(0, OUT)
    desk.tick(40, {**OUT, "company-2": [failed()]})
    (message,) = desk.tick(47)
    assert message.title == "2 companies work again"
    assert message.body.splitlines() == [
        "company-1 (Company 1 Kft.), after 47 min",
        "company-2 (Company 2 Kft.), after 7 min",
    ]


def test_all_that_is_wrong_with_a_company_is_one_message_named_by_the_worst(desk: Desk) -> None:
    (message,) = desk.tick(0, {"company-1": [check(), failed()]})
    assert (message.severity, message.title) == ("error", "company-1: the sync failed")
    assert message.body.index("revoked") < message.body.index("no_number_gaps")


@pytest.mark.parametrize(("severity", "verb"), [("warning", "warns"), ("error", "failed")])
def test_a_message_about_a_check_names_it_and_says_whether_it_failed_or_warns(
    desk: Desk, severity: Severity, verb: str
) -> None:
    (message,) = desk.tick(0, {"company-1": [check(severity=severity)]})
    assert (message.severity, message.title) == (severity, f"company-1: the check no_number_gaps {verb}")


def test_a_warning_that_becomes_an_error_is_told_once_more_and_not_when_it_falls_back(desk: Desk) -> None:
    course: list[Severity] = ["warning", "warning", "error", "error", "warning", "error"]
    told = [desk.tick(minute, {"company-1": [stale(severity)]}) for minute, severity in enumerate(course)]
    assert [[message.severity for message in of_tick] for of_tick in told] == [["warning"], [], ["error"], [], [], []]
    assert titles(desk.tick(9)) == ["company-1 works again"]


def test_a_second_problem_of_a_company_that_is_out_is_told(desk: Desk) -> None:
    desk.tick(0, OUT)
    assert titles(desk.tick(1, {"company-1": [failed(), check()]})) == ["company-1: the check no_number_gaps warns"]


def test_another_run_that_fails_for_the_same_reason_is_the_same_outage(desk: Desk) -> None:
    desk.tick(0, OUT)
    assert desk.tick(1, {"company-1": [failed(run="run-2")]}) == []


def test_a_company_works_again_when_its_error_is_gone_and_what_remains_is_said(desk: Desk) -> None:
    desk.tick(0, {"company-1": [failed(), check()]})
    (message,) = desk.tick(1, {"company-1": [check()]})
    assert message.title == "company-1 works again"
    assert "What remains:\n- company-1: no_number_gaps: something is missing." in message.body
    assert titles(desk.tick(2)) == ["company-1 works again"]


def test_a_company_does_not_work_again_before_its_last_error_is_gone(desk: Desk) -> None:
    desk.tick(0, {"company-1": [failed(), check("one_row_per_document", "error")]})
    assert desk.tick(1, {"company-1": [check("one_row_per_document", "error")]}) == []
    assert titles(desk.tick(2)) == ["company-1 works again"]


def test_an_api_that_is_down_is_one_message_for_all_and_none_for_those_that_meet_it_later(desk: Desk) -> None:
    (message,) = desk.tick(0, {key: [down()] for key in desk.keys(2)})
    assert (message.severity, message.title) == ("error", "2 companies: the sync failed")
    assert all(f"{company.key} ({company.name})" in message.body for company in desk.companies[:2])
    assert "one message says when it is over" in message.body
    assert desk.tick(1, {key: [down()] for key in desk.keys(3)}) == []
    assert titles(desk.tick(2)) == ["3 companies work again"]
    assert desk.tick(3) == []


def test_companies_with_a_reason_of_their_own_are_told_together_in_a_tick_and_later_ones_too(desk: Desk) -> None:
    (message,) = desk.tick(0, {key: [failed()] for key in desk.keys(2)})
    assert message.title == "2 companies: the sync failed"
    later = desk.tick(1, {key: [failed()] for key in desk.keys(3)})
    assert titles(later) == ["company-3: the sync failed"]


def test_companies_that_are_out_for_different_reasons_are_told_apart(desk: Desk) -> None:
    told = desk.tick(0, {"company-1": [failed()], "company-2": [check()], "company-3": [failed("SubscriptionError")]})
    assert sorted(titles(told)) == [
        "company-1: the sync failed",
        "company-2: the check no_number_gaps warns",
        "company-3: the sync failed",
    ]


def test_that_the_api_is_down_is_told_although_one_of_its_companies_was_out_before(desk: Desk) -> None:
    desk.tick(0, OUT)
    (message,) = desk.tick(1, {key: [down()] for key in desk.keys(3)})
    assert message.title == "2 companies: the sync failed"


@pytest.mark.parametrize("joined_at", [0, 1], ids=["told with the others", "met it later"])
def test_a_company_that_stays_out_for_a_reason_of_its_own_when_the_api_is_back_is_told_by_name(
    desk: Desk, joined_at: int
) -> None:
    for minute in (0, 1):
        desk.tick(minute, {key: [down()] for key in desk.keys(3 if minute >= joined_at else 2)})
    told = desk.tick(2, {"company-3": [failed()]})
    assert titles(told) == ["company-3: the sync failed", "2 companies work again"]
    assert desk.tick(3, {"company-3": [failed()]}) == []


def test_more_companies_than_a_message_can_name_are_counted(connection: Connection) -> None:
    desk = Desk(connection, 23)
    (message,) = desk.tick(0, {company.key: [down()] for company in desk.companies})
    assert (message.title, message.body.count("Kft.")) == ("23 companies: the sync failed", 20)
    assert "and 3 more. `billingo-assets status` lists them all." in message.body
    (message,) = desk.tick(1)
    assert (message.title, message.body.count("Kft."), "and 3 more" in message.body) == (
        "23 companies work again",
        20,
        True,
    )


def test_while_runs_are_going_news_waits_for_those_that_fail_for_the_same_reason(desk: Desk) -> None:
    assert desk.tick(0, {"company-1": [failed()]}, busy=True) == []
    assert desk.tick(1, {key: [failed()] for key in desk.keys(2)}, busy=True) == []
    assert titles(desk.tick(2, {key: [failed()] for key in desk.keys(3)})) == ["3 companies: the sync failed"]


def test_news_waits_no_longer_than_the_hold_however_long_runs_go_on(desk: Desk) -> None:
    hold = int(HOLD / MINUTE)
    assert desk.tick(0, {"company-1": [failed()]}, busy=True) == []
    later = {key: [failed()] for key in desk.keys(2)}
    assert desk.tick(hold - 1, later, busy=True) == []
    assert titles(desk.tick(hold, later, busy=True)) == ["2 companies: the sync failed"]


def test_recoveries_wait_for_one_another_while_runs_are_going_and_no_longer_than_the_hold(desk: Desk) -> None:
    hold = int(HOLD / MINUTE)
    desk.tick(0, {key: [failed()] for key in desk.keys(3)})
    assert desk.tick(1, {key: [failed()] for key in desk.keys(2)}, busy=True) == []
    assert desk.tick(hold, {"company-1": [failed()]}, busy=True) == []
    assert titles(desk.tick(hold + 1, {"company-1": [failed()]}, busy=True)) == ["2 companies work again"]


def test_an_outage_that_is_over_before_it_was_told_is_never_told(desk: Desk) -> None:
    assert [desk.tick(0, OUT, busy=True), desk.tick(1, busy=True), desk.tick(2)] == [[], [], []]
    assert read_outages(desk.connection) == []


def test_what_comes_back_before_its_end_was_told_is_the_same_outage(desk: Desk) -> None:
    desk.tick(0, OUT)
    assert [desk.tick(1, busy=True), desk.tick(2, OUT), desk.tick(3, OUT)] == [[], [], []]
    (message,) = desk.tick(4)
    assert message.body.endswith(", after 4 min")


def test_what_comes_back_after_its_end_was_told_is_another_outage(desk: Desk) -> None:
    told = [titles(desk.tick(minute, problems)) for minute, problems in enumerate([OUT, {}, OUT])]
    assert told == [["company-1: the sync failed"], ["company-1 works again"], ["company-1: the sync failed"]]


def test_without_a_channel_nothing_counts_as_told_and_what_is_over_stays_untold(desk: Desk) -> None:
    desk.tick(0, {"company-1": [failed()], "company-2": [failed()]}, told=False)
    desk.tick(1, OUT, told=False)
    assert titles(desk.tick(2, OUT)) == ["company-1: the sync failed"]


def test_an_outage_that_nobody_was_told_of_begins_anew_when_it_comes_back(desk: Desk) -> None:
    desk.tick(0, OUT, told=False)
    desk.tick(1, told=False)
    desk.tick(600, OUT)
    (message,) = desk.tick(605)
    assert message.body.endswith(", after 5 min")


def test_an_outage_of_a_company_that_is_disabled_ends_in_silence(desk: Desk) -> None:
    desk.tick(0, OUT)
    assert desk.tick(1, without=["company-1"]) == []
    assert desk.tick(2) == []


def test_an_outage_of_a_company_that_is_removed_ends_in_silence(desk: Desk) -> None:
    desk.tick(0, OUT)
    del desk.companies[0]
    assert desk.tick(1) == []


def test_an_outage_that_is_over_is_settled_for_good(desk: Desk) -> None:
    desk.tick(0, OUT)
    desk.tick(1, without=["company-1"])
    desk.tick(2, {"company-2": [check()]})
    desk.tick(3)
    assert read_outages(desk.connection) == []


def test_a_job_that_is_no_companys_is_told_of_as_well(desk: Desk) -> None:
    job = Problem("job:prune_history", "warning", "job:prune_history", "prune_history: It broke off.", "run-1")
    (message,) = desk.tick(0, {"itself": [job]})
    assert message.title == "billingo_assets: the job prune_history failed"
    assert titles(desk.tick(1)) == ["billingo_assets works again"]
