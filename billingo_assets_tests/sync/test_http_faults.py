"""What goes wrong on the wire, on each page of each kind of sync: once, and for ever."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from billingo_assets.billingo.errors import (
    BillingoError,
    CredentialsError,
    InvalidRequestError,
    MalformedAnswerError,
    RateLimitError,
    RedirectError,
    SubscriptionError,
    UnavailableError,
)
from billingo_assets.sandbox import Fault
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.sync.conftest import OpenBooks

SILENCE = {"read_seconds": 0.5}
"""For faults that are noticed by waiting. The others are left the default, so that a busy machine disturbs no test."""
SOON = {"rate_limit_seconds": 0.01}


@dataclass(frozen=True)
class Trouble:
    """A fault, the error that tells of it when it stays, and what a client needs to notice it quickly."""

    name: str
    fault: dict[str, Any]
    error: type[BillingoError]
    limits: dict[str, float]


def refusal(name: str, **fault: Any) -> Trouble:
    return Trouble(f"429 {name}", {"kind": "status", "status": 429, **fault}, RateLimitError, SOON)


TRANSIENT = [
    Trouble("stall", {"kind": "stall", "seconds": 30}, UnavailableError, SILENCE),
    Trouble("slow body", {"kind": "slow_body", "seconds": 30}, UnavailableError, SILENCE),
    Trouble("drop", {"kind": "drop"}, MalformedAnswerError, {}),
    Trouble("500", {"kind": "status", "status": 500}, UnavailableError, {}),
    Trouble("502", {"kind": "status", "status": 502}, UnavailableError, {}),
    Trouble("503", {"kind": "status", "status": 503}, UnavailableError, {}),
    Trouble("503 in HTML", {"kind": "status", "status": 503, "html": True}, UnavailableError, {}),
    Trouble("504", {"kind": "status", "status": 504}, UnavailableError, {}),
    Trouble("truncated", {"kind": "truncate"}, MalformedAnswerError, {}),
    Trouble("not JSON", {"kind": "not_json"}, MalformedAnswerError, {}),
    Trouble("error in 200", {"kind": "error_in_200"}, MalformedAnswerError, {}),
    refusal("without a header"),
    refusal("with 0", retry_after="zero"),
    refusal("with nonsense", retry_after="nonsense"),
    refusal("with seconds", retry_after=1),
    refusal("with a date", retry_after="http-date", seconds=0.5),
]
PERMANENT = [
    Trouble("401", {"kind": "status", "status": 401}, CredentialsError, {}),
    Trouble("402", {"kind": "status", "status": 402}, SubscriptionError, {}),
    Trouble("403", {"kind": "status", "status": 403}, CredentialsError, {}),
    Trouble("422", {"kind": "status", "status": 422}, InvalidRequestError, {}),
    Trouble("redirect", {"kind": "redirect"}, RedirectError, {}),
]

Place = tuple[str, int]
FULL: list[Place] = [("all", 1), ("all", 2), ("all", 3)]
INCREMENTAL: list[Place] = [("modified", 1), ("modified", 2), ("modified", 3), ("paid", 1), ("all", 1)]
ATTEMPTS = 2


def name_of(place: Place) -> str:
    return f"{place[0]} {place[1]}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a trouble, or several in a row, strike one place in turn; with `--soak`, each strikes every one."""
    soak = metafunc.config.getoption("--soak", default=False)
    places = INCREMENTAL if "changed" in metafunc.fixturenames else FULL
    name = next((name for name in ("trouble", "troubles") if name in metafunc.fixturenames), None)
    if name is None or "place" not in metafunc.fixturenames:
        return
    # Not all in a row: the pauses between the tries of one request double.
    chosen = (
        [*TRANSIENT, *PERMANENT] if name == "trouble" else [TRANSIENT[at :: len(places)] for at in range(len(places))]
    )
    met = (
        list(itertools.product(chosen, places))
        if soak
        else [(one, places[at % len(places)]) for at, one in enumerate(chosen)]
    )
    ids = [f"{one.name if isinstance(one, Trouble) else 'several'} on {name_of(place)}" for one, place in met]
    metafunc.parametrize((name, "place"), met, ids=ids)


@pytest.fixture
def changed(open_books: OpenBooks) -> Books:
    """Books that were synced, and then changed so much that what was modified fills three pages."""
    books = open_books("it-cardigan")
    books.fetch()
    documents = books.served.documents()
    for sent in documents[:230]:
        books.served.change(sent["id"], comment="módosítva")
    books.served.pay(books.of_type("invoice")[-1])
    books.served.create()
    books.sandbox.requests.clear()
    return books


def fault_at(place: Place, **fault: Any) -> Fault:
    listing, page = place
    return Fault(**fault, path="/v3/documents", listing=listing, page=page)  # type: ignore[arg-type]


def require_failure_and_recovery(books: Books, trouble: Trouble, place: Place, *, full: bool) -> None:
    """Let a sync meet a fault that stays, see how it ends, and that a clean sync makes up for it."""
    before = books.state()
    books.sandbox.faults.add(fault_at(place, times=None, **trouble.fault))
    with pytest.raises(trouble.error):
        books.fetch(full=full, attempts=ATTEMPTS, **trouble.limits)
    asked = questions(books.sandbox).count(name_of(place))
    assert asked == (ATTEMPTS if trouble in TRANSIENT else 1)
    assert books.state() == before
    books.sandbox.faults.clear()
    books.sync(full=full)
    require_truth(books)


def test_a_fault_that_stays_ends_a_full_sync_by_name_and_a_clean_one_makes_up_for_it(
    three_pages: Books, trouble: Trouble, place: Place
) -> None:
    require_failure_and_recovery(three_pages, trouble, place, full=True)


def test_a_fault_that_stays_ends_an_incremental_sync_by_name_and_a_clean_one_makes_up_for_it(
    changed: Books, trouble: Trouble, place: Place
) -> None:
    require_failure_and_recovery(changed, trouble, place, full=False)


@pytest.mark.parametrize("trouble", [*PERMANENT, TRANSIENT[3]], ids=lambda trouble: trouble.name)
def test_a_company_that_does_not_say_who_it_is_is_asked_for_no_document(one_page: Books, trouble: Trouble) -> None:
    one_page.sandbox.faults.add(Fault(**trouble.fault, path="/v3/organization", times=None))
    with pytest.raises(trouble.error):
        one_page.fetch()
    assert set(questions(one_page.sandbox)) == {"organization"}


def strike_once_each(books: Books, troubles: list[Trouble], place: Place) -> dict[str, float]:
    """Let faults strike one after the other, and return the limits to meet them with."""
    for at, trouble in enumerate(troubles):
        books.sandbox.faults.add(fault_at(place, skip=at, **trouble.fault))
    return {"attempts": len(troubles) + 3, **SILENCE, **SOON}


def test_faults_that_pass_cost_a_full_sync_nothing_but_time(
    three_pages: Books, troubles: list[Trouble], place: Place
) -> None:
    limits = strike_once_each(three_pages, troubles, place)
    report = three_pages.sync(**limits)
    assert three_pages.sandbox.faults.armed() == []
    assert (report.processed, report.created, report.updated) == (282, 282, 0)
    require_truth(three_pages)


def test_faults_that_pass_cost_an_incremental_sync_nothing_but_time(
    changed: Books, troubles: list[Trouble], place: Place
) -> None:
    limits = strike_once_each(changed, troubles, place)
    report = changed.sync(full=False, **limits)
    assert changed.sandbox.faults.armed() == []
    assert (report.mode, report.created) == ("incremental", 1)
    require_truth(changed)


def strike_all_pages(books: Books) -> None:
    books.sandbox.faults.add(Fault(kind="status", status=503, times=None))


def strike_the_last_question(books: Books) -> None:
    books.sandbox.faults.add(Fault(kind="status", status=503, path="/v3/documents", page=1, skip=1, times=None))


@pytest.mark.parametrize("strike", [strike_all_pages, strike_the_last_question], ids=["all is down", "catching up"])
def test_an_outage_in_the_night_is_made_up_for_by_the_next_sync(
    three_pages: Books, strike: Callable[[Books], None]
) -> None:
    three_pages.sync()
    three_pages.served.delete(three_pages.of_type("draft")[0])
    strike(three_pages)
    with pytest.raises(UnavailableError):
        three_pages.fetch()
    three_pages.sandbox.faults.clear()
    three_pages.sync()
    require_truth(three_pages)


def test_a_fault_of_one_company_leaves_the_others_alone(open_books: OpenBooks) -> None:
    struck, spared = open_books("ozon-bt"), open_books("arvizturo")
    struck.sandbox.faults.add(Fault(kind="status", status=401, company="ozon-bt", times=None))
    with pytest.raises(CredentialsError):
        struck.fetch()
    spared.sync()
    require_truth(spared)
    assert struck.live() == set()
