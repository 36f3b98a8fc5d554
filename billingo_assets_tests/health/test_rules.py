"""How a company is judged from what is known of it, without asking anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billingo_assets.companies.registry import Company
from billingo_assets.companies.schedule import Schedule
from billingo_assets.health.rules import CompanyHealth, Facts, FailedCheck, Moments, assess, limits_of_age
from billingo_assets.run_history.verdicts import FailedRun
from billingo_assets.settings import Settings

BUDAPEST = ZoneInfo("Europe/Budapest")
MONDAY, FRIDAY = datetime(2026, 6, 1, 2, 5, tzinfo=BUDAPEST), datetime(2026, 6, 5, 20, 5, tzinfo=BUDAPEST)
SUNDAY = datetime(2026, 6, 7, 3, 5, tzinfo=BUDAPEST)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def company(schedule: Schedule = "daily") -> Company:
    return Company(
        id=1,
        key="it-cardigan",
        name="IT Cardigan Kft.",
        tax_code="12345678-2-42",
        is_demo=False,
        enabled=True,
        schedule=schedule,
        api_key_encrypted="gAAAA",
    )


def facts(synced_at: datetime | None = MONDAY, schedule: Schedule = "daily", **known: object) -> Facts:
    """A company that was registered long before, and of which nothing else is known."""
    moments = Moments(MONDAY - 90 * DAY, synced_at)
    alright = Facts(
        company=company(schedule),
        moments=moments,
        is_being_synced=False,
        waits_for_daemon=False,
        failed_run=None,
        failed_checks=(),
    )
    return replace(alright, **known)  # type: ignore[arg-type]


def judged(known: Facts, age: timedelta = HOUR) -> CompanyHealth:
    """The company's health so long after its last sync."""
    return assess(known, (known.moments.synced_at or MONDAY) + age, Settings())


def kinds(health: CompanyHealth) -> list[str]:
    return [problem.kind for problem in health.problems]


@pytest.mark.parametrize(
    ("schedule", "synced_at", "age", "color"),
    [
        ("daily", MONDAY, 24 * HOUR, "green"),
        ("daily", MONDAY, 25 * HOUR, "yellow"),
        ("daily", MONDAY, 48 * HOUR, "yellow"),
        ("daily", MONDAY, 49 * HOUR, "red"),
        ("twice-daily", MONDAY, 24 * HOUR - timedelta(minutes=1), "green"),
        ("twice-daily", MONDAY, 24 * HOUR, "yellow"),
        ("twice-daily", MONDAY, 48 * HOUR, "red"),
        ("hourly", MONDAY, 24 * HOUR, "yellow"),
        ("hourly", MONDAY, 48 * HOUR, "red"),
        ("hourly", FRIDAY, 60 * HOUR, "green"),
        ("hourly", FRIDAY, 61 * HOUR, "yellow"),
        ("hourly", FRIDAY, 85 * HOUR, "red"),
        ("weekly", SUNDAY, 7 * DAY, "green"),
        ("weekly", SUNDAY, 7 * DAY + HOUR, "yellow"),
        ("weekly", SUNDAY, 8 * DAY + HOUR, "red"),
        ("manual", MONDAY, 700 * DAY, "green"),
    ],
)
def test_a_company_is_out_when_its_rhythm_was_missed_for_a_day_and_badly_out_after_two(
    schedule: Schedule, synced_at: datetime, age: timedelta, color: str
) -> None:
    assert judged(facts(synced_at, schedule), age).color == color


def test_the_companies_of_one_tick_are_missed_in_the_same_moment() -> None:
    ends = [MONDAY, MONDAY + timedelta(minutes=20)]
    limits = [limits_of_age(company(), end, Settings()) for end in ends]
    assert [[end + limit for limit in of_one or ()] for end, of_one in zip(ends, limits, strict=True)] == [
        [datetime(2026, 6, 2, 3, tzinfo=BUDAPEST), datetime(2026, 6, 3, 3, tzinfo=BUDAPEST)]
    ] * 2


@pytest.mark.parametrize(("age", "color"), [(HOUR, "yellow"), (25 * HOUR, "yellow"), (49 * HOUR, "red")])
def test_a_company_that_was_never_synced_is_not_green_and_counts_from_its_registration(
    age: timedelta, color: str
) -> None:
    new = facts(None, moments=Moments(MONDAY, None))
    assert judged(new, age).color == color
    assert kinds(judged(new, age)) == ([] if age == HOUR else ["stale"])


def test_a_company_that_is_enabled_after_a_month_is_awaited_and_not_missed() -> None:
    enabled = facts(MONDAY, moments=Moments(MONDAY + 30 * DAY, MONDAY))
    assert (judged(enabled, 30 * DAY + HOUR).color, kinds(judged(enabled, 30 * DAY + HOUR))) == ("yellow", [])
    assert kinds(judged(enabled, 32 * DAY)) == ["stale"]


def test_a_company_that_is_synced_by_hand_only_is_not_green_before_its_first_sync() -> None:
    assert (judged(facts(None, "manual")).color, judged(facts(None, "manual")).next_sync_at) == ("yellow", None)


def test_what_is_said_of_a_missed_sync_tells_how_long_ago_the_last_one_was() -> None:
    (problem,) = judged(facts(), 30 * HOUR).problems
    assert problem.summary.startswith("It was last synced 30 hours ago (2026-06-01 02:05).")
    (problem,) = judged(facts(), 4 * DAY).problems
    assert problem.summary.startswith("It was last synced 4 days ago")


@pytest.mark.parametrize(("severity", "color"), [("warning", "yellow"), ("error", "red")])
def test_a_check_that_failed_is_as_bad_as_its_severity(severity: str, color: str) -> None:
    failed = FailedCheck("totals_reconcile", severity, "1 invoice does not add up.", "run-1")  # type: ignore[arg-type]
    health = judged(facts(failed_checks=(failed,)))
    assert (health.color, health.problems[0].run_id) == (color, "run-1")
    assert health.problems[0].summary.startswith("totals_reconcile: 1 invoice does not add up. Compare")


def test_the_worst_problem_comes_first() -> None:
    gaps = FailedCheck("no_number_gaps", "warning", "2 numbers are missing.", "run-1")
    health = judged(facts(failed_checks=(gaps,), failed_run=FailedRun("run-2", "The key is revoked.", None)))
    assert kinds(health) == ["run_failed", "no_number_gaps"]


def test_a_run_that_failed_is_red_and_the_age_that_follows_from_it_is_not_told() -> None:
    failed = facts(failed_run=FailedRun("run-1", "The key is revoked.", "CredentialsError"))
    (problem,) = judged(failed, 3 * DAY).problems
    assert (judged(failed).color, problem.reason) == ("red", "run_failed:CredentialsError")


@pytest.mark.parametrize(("age", "missed"), [(30 * HOUR, []), (50 * HOUR, ["stale"])])
def test_a_company_that_is_late_but_being_synced_is_not_missed_for_another_day(
    age: timedelta, missed: list[str]
) -> None:
    assert kinds(judged(facts(is_being_synced=True), age)) == missed


def test_a_company_without_an_api_key_is_red_and_says_how_to_store_one() -> None:
    (problem,) = judged(facts(company=replace(company(), api_key_encrypted=None))).problems
    assert (problem.severity, problem.kind) == ("error", "no_api_key")
    assert "company set-key it-cardigan" in problem.summary


def test_of_a_disabled_company_nothing_is_expected() -> None:
    away = facts(
        None, company=replace(company(), enabled=False, api_key_encrypted=None), failed_run=FailedRun("run-1", "", None)
    )
    assert judged(away, 90 * DAY) == CompanyHealth(away.company, "disabled", (), None, None, False, False)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("daily", datetime(2026, 6, 2, 2, tzinfo=BUDAPEST)),
        ("twice-daily", datetime(2026, 6, 1, 14, tzinfo=BUDAPEST)),
        ("hourly", datetime(2026, 6, 1, 8, tzinfo=BUDAPEST)),
        ("weekly", datetime(2026, 6, 7, 3, tzinfo=BUDAPEST)),
    ],
)
def test_the_next_sync_is_the_next_tick_of_the_rhythm(schedule: Schedule, due: datetime) -> None:
    assert judged(facts(schedule=schedule)).next_sync_at == due


def test_only_what_is_down_for_all_is_shared() -> None:
    def is_shared(error: str) -> bool:
        return judged(facts(failed_run=FailedRun("1", "", error))).problems[0].is_shared

    assert [is_shared(error) for error in ("UnavailableError", "CredentialsError")] == [True, False]
