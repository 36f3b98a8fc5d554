from decimal import Decimal
from typing import Any

import pytest

from billingo_assets.sandbox import Company, CompanySpec, Habits, World
from billingo_assets_tests.sandbox.conftest import Clock, first

COMPANIES = (CompanySpec("alma", "Alma Kft.", 400),)
EVERY_OTHER_ANSWER = (
    Habits(storno_amounts="positive"),
    Habits(storno_payment_status="outstanding"),
    Habits(storno_payment_status="paid"),
    Habits(cancelled_payment_status="none"),
    Habits(cancelled_payment_status="paid"),
    Habits(originals_list_corrections=True),
    Habits(originals_name_corrections=True),
    Habits(modification="restatement"),
    Habits(discount="header"),
)


def company(habits: Habits) -> Company:
    return World(seed=7, companies=COMPANIES, habits=habits).company("alma")


def of_type(company: Company, *types: str) -> list[dict[str, Any]]:
    return [one for one in company.documents() if one["type"] in types]


def original_of(company: Company, correction: dict[str, Any]) -> dict[str, Any]:
    [related] = correction["related_documents"][:1]
    return company.document(related["id"])


@pytest.mark.parametrize("habits", EVERY_OTHER_ANSWER, ids=str)
def test_a_habit_changes_nothing_but_what_it_says(habits: Habits) -> None:
    usual, other = (company(one).documents() for one in (Habits(), habits))
    assert usual != other
    for key in ("id", "invoice_number", "type", "currency", "invoice_date", "block_id", "cancelled"):
        assert [one.get(key) for one in usual] == [one.get(key) for one in other]
    assert [record.body for record in company(habits).records] == [record.body for record in company(habits).records]


@pytest.mark.parametrize("habits", EVERY_OTHER_ANSWER, ids=str)
def test_the_ledger_goes_by_the_habits(habits: Habits) -> None:
    books = company(habits)
    for currency, totals in books.ledger().currencies.items():
        documents = [one for one in books.documents() if one["currency"] == currency]
        assert totals.gross == sum(one["gross_total"] for one in documents)
        assert totals.net == sum(one["summary"]["net_amount"] for one in documents)


def test_a_storno_can_have_the_amounts_of_its_original() -> None:
    books = company(Habits(storno_amounts="positive"))
    stornos = of_type(books, "cancellation", "receipt_cancellation")
    assert len(stornos) > 3
    for storno in stornos:
        original = original_of(books, storno)
        for key in ("gross_total", "summary", "items"):
            assert storno[key] == original[key]


@pytest.mark.parametrize("status", ["none", "outstanding", "paid"])
def test_a_storno_has_the_payment_status_that_is_said(status: Any) -> None:
    stornos = of_type(company(Habits(storno_payment_status=status)), "cancellation", "receipt_cancellation")
    assert {one["payment_status"] for one in stornos} == {status}
    assert all((one.get("paid_date") == one["invoice_date"]) == (status == "paid") for one in stornos)


@pytest.mark.parametrize("status", ["none", "paid"])
def test_the_payment_status_of_what_is_cancelled_can_change(status: Any) -> None:
    books = company(Habits(cancelled_payment_status=status))
    cancelled = [one for one in books.documents() if one["cancelled"]]
    assert {one["payment_status"] for one in cancelled} == {status}
    assert all(bool(one.get("paid_date")) == (status == "paid") for one in cancelled)


def test_originals_can_list_what_corrects_them_and_advances_their_final_invoices() -> None:
    books = company(Habits(originals_list_corrections=True))
    links = {(one["id"], other["id"]) for one in books.documents() for other in one["related_documents"]}
    assert len(links) > 10
    assert links == {(there, here) for here, there in links}


def test_originals_can_be_named_after_what_corrects_them() -> None:
    books = company(Habits(originals_name_corrections=True))
    for correction, name in (("cancellation", "canceled"), ("modification", "modified")):
        assert {original_of(books, one)["correction_type"] for one in of_type(books, correction)} == {name}
    assert {one["correction_type"] for one in of_type(books, "cancellation")} == {"cancellation"}


def test_a_modification_can_restate_every_line_that_holds() -> None:
    books = company(Habits(modification="restatement"))
    modifications = of_type(books, "modification")
    assert len(modifications) > 3
    for modification in modifications:
        kept = original_of(books, modification)["items"][1:]
        assert modification["items"][: len(kept)] == kept
        assert all(item["quantity"] > 0 for item in modification["items"])


def test_a_discount_can_come_off_the_header_alone() -> None:
    books = company(Habits(discount="header"))
    discounted = [one for one in books.documents() if one["discount"]]
    assert len(discounted) > 5
    for document in discounted:
        left = 1 - Decimal(document["discount"]["value"]) / 100
        lines = sum(item["net_amount"] for item in document["items"])
        assert abs(lines * left - document["summary"]["net_amount"]) <= 1


def test_a_cancellation_of_today_goes_by_the_habits(clock: Clock) -> None:
    world = World(companies=COMPANIES, clock=clock, habits=Habits(originals_list_corrections=True))
    alma = world.company("alma")
    original = first(alma, "invoice", cancelled=False, related_documents=[])
    storno = alma.cancel(original)
    assert [one["id"] for one in alma.document(original)["related_documents"]] == [storno["id"]]


def test_a_reset_takes_other_habits_until_the_next() -> None:
    world = World(seed=7, companies=COMPANIES)
    generated = world.company("alma").documents()
    world.reset(habits=Habits(storno_amounts="positive"))
    assert world.company("alma").documents() != generated
    world.reset()
    assert world.company("alma").documents() == generated
