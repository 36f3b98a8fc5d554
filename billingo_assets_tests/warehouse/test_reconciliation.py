"""Each reconciliation holds on sound data, and after a deliberate wrong says what is missing and where."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from billingo_assets.companies.registry import Company
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.records import read_record
from billingo_assets.sync.refresh import refresh_tables
from billingo_assets.warehouse.acceptances import accept_unreconciled
from billingo_assets.warehouse.raw_records import Record, upsert_records
from billingo_assets.warehouse.reconciliation import (
    WORST,
    Reconciliation,
    held_records,
    items_per_document,
    rows_per_record,
)
from billingo_assets.warehouse.rejections import RejectedRecord, reject
from billingo_assets.warehouse.totals import reconciled_totals, totals_as_normalized
from billingo_assets_tests.support.documents import as_json, document, item

Reconcile = Callable[[Connection, int], Reconciliation]

REJECTED = 3
"""The document that is stored and cannot be understood."""


def sound(document_id: int, **changes: Any) -> dict[str, Any]:
    """A document in euro whose header and single line agree."""
    amounts = {"net_amount": Decimal("100.00"), "vat_amount": Decimal("27.00")}
    line = item(**amounts, gross_amount=Decimal("127.00"))
    return document(document_id, gross_total=Decimal("127.00"), summary=amounts, items=[line]) | changes


def rows_per_document(connection: Connection, company_id: int) -> Reconciliation:
    return rows_per_record(connection, DOCUMENTS, company_id)


BOOKS = [
    sound(1),
    sound(2, items=[]),
    sound(REJECTED, gross_total="12,5"),
    sound(4, items=[item(gross_amount=Decimal("63.5"))] * 2),
    {"id": 5},
]


@pytest.fixture
def store(engine: Engine, company: Company) -> Callable[..., None]:
    """`store(document, …)` puts documents into every table."""

    def put(*documents: dict[str, Any]) -> None:
        read = [read_record(DOCUMENTS, as_json(sent).encode()) for sent in documents]
        with engine.connect() as connection:
            with connection.begin():
                upsert_records(connection, DOCUMENTS, company.id, [one for one in read if isinstance(one, Record)])
            refresh_tables(connection, DOCUMENTS, company.id)

    put(*BOOKS)
    return put


@pytest.fixture
def reconcile(engine: Engine, company: Company, store: object) -> Callable[..., Reconciliation]:
    """`reconcile(rows_per_document, after="…")` tampers with the tables by SQL, then counts."""

    def answer(reconciliation: Reconcile, *, after: str = "SELECT") -> Reconciliation:
        with engine.begin() as connection:
            connection.execute(text(after))
            return reconciliation(connection, company.id)

    return answer


@pytest.mark.parametrize(
    ("reconciliation", "number"),
    [(rows_per_document, 4), (items_per_document, 3), (reconciled_totals, 3), (totals_as_normalized, 3)],
)
def test_sound_tables_reconcile_and_the_quarantine_is_excepted(
    reconcile: Callable[..., Reconciliation], reconciliation: Reconcile, number: int
) -> None:
    unjudged = 1 if number == 3 and reconciliation is not items_per_document else 0  # one says nothing but its id
    assert reconcile(reconciliation) == Reconciliation(expected=number, found=number, unjudged=unjudged)


@pytest.mark.parametrize("reconciliation", [rows_per_document, items_per_document, reconciled_totals])
def test_a_company_without_documents_reconciles(engine: Engine, company: Company, reconciliation: Reconcile) -> None:
    with engine.begin() as connection:
        assert reconciliation(connection, company.id) == Reconciliation(expected=0, found=0)


@pytest.mark.parametrize(
    ("tampering", "difference", "fault"),
    [
        ("DELETE FROM billingo.invoices WHERE id = 1", -1, "has no row in invoices"),
        ("UPDATE billingo.invoices SET deleted_at = now() WHERE id = 1", -1, "has no row in invoices"),
        ("DELETE FROM billingo.raw_invoices WHERE document_id = 1", 1, "has a row in invoices but no document"),
        ("UPDATE billingo.invoices SET content_hash = 'x' WHERE id = 1", 0, "has changed since its row was made"),
    ],
    ids=["row deleted", "row marked deleted", "document deleted", "stale hash"],
)
def test_rows_that_differ_from_the_documents_are_named(
    reconcile: Callable[..., Reconciliation], tampering: str, difference: int, fault: str
) -> None:
    answer = reconcile(rows_per_document, after=tampering)
    assert not answer.holds
    assert answer.difference == difference
    assert answer.at_fault == ({"document": "1", "fault": fault},)


def test_of_many_rows_at_fault_only_some_are_named_and_all_are_counted(
    reconcile: Callable[..., Reconciliation], store: Callable[..., None]
) -> None:
    store(*[sound(number) for number in range(101, 151)])
    answer = reconcile(rows_per_document, after="DELETE FROM billingo.invoices WHERE id > 100")
    assert (answer.difference, len(answer.at_fault)) == (-50, WORST)


@pytest.mark.parametrize(
    ("tampering", "found", "document_id", "expected_items", "rows"),
    [
        ("DELETE FROM billingo.invoice_items WHERE invoice_id = 4 AND position = 1", 2, "4", "2", "1"),
        ("INSERT INTO billingo.invoice_items (company_id, invoice_id, position) VALUES (1, 2, 1)", 4, "2", "0", "1"),
        ("INSERT INTO billingo.invoice_items (company_id, invoice_id, position) VALUES (1, 99, 1)", 4, "99", "0", "1"),
        ("UPDATE billingo.raw_invoices SET deleted_at = now() WHERE document_id = 1", 3, "1", "0", "1"),
    ],
    ids=["item deleted", "item added", "item of nobody", "items of a deleted document"],
)
def test_items_that_differ_from_the_documents_are_named(
    reconcile: Callable[..., Reconciliation],
    tampering: str,
    found: int,
    document_id: str,
    expected_items: str,
    rows: str,
) -> None:
    answer = reconcile(items_per_document, after=tampering)
    assert not answer.holds
    assert answer.found == found
    assert answer.at_fault == ({"document": document_id, "items in the document": expected_items, "rows": rows},)


def test_an_item_too_many_does_not_make_up_for_one_that_is_missing(reconcile: Callable[..., Reconciliation]) -> None:
    moved = "UPDATE billingo.invoice_items SET invoice_id = 2, position = 9 WHERE invoice_id = 4 AND position = 1"
    answer = reconcile(items_per_document, after=moved)
    assert answer.difference == 0
    assert not answer.holds
    assert {row["document"] for row in answer.at_fault} == {"2", "4"}


@pytest.mark.parametrize(
    ("changes", "gaps"),
    [
        ({"summary": {"net_amount": 100, "vat_amount": Decimal("26.95")}}, ("0.05 EUR", "0.00 EUR")),
        ({"items": [item(gross_amount=1)]}, ("0.00 EUR", "126.00 EUR")),
    ],
    ids=["header", "lines"],
)
def test_amounts_that_do_not_add_up_are_named_with_their_gap(
    reconcile: Callable[..., Reconciliation],
    store: Callable[..., None],
    changes: dict[str, Any],
    gaps: tuple[str, str],
) -> None:
    store(sound(1, **changes))
    answer = reconcile(reconciled_totals)
    assert answer.difference == -1
    assert answer.at_fault == ({"document": "1", "gross - (net + VAT)": gaps[0], "gross - lines": gaps[1]},)


@pytest.mark.parametrize("totals", [reconciled_totals, totals_as_normalized])
@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"settings": {"round": "five"}, "gross_total": 129}, True),
        ({"settings": {"round": "none"}, "gross_total": 130}, False),
        ({"settings": None, "gross_total": 130}, False),
        ({"discount": {"type": "percent", "value": 10}, "items": [item(gross_amount=Decimal("141.11"))]}, True),
        ({"discount": None, "items": [item(gross_amount=Decimal("141.11"))]}, False),
    ],
    ids=["rounded to five", "not rounded", "nothing said", "discount", "no discount"],
)
def test_rounding_and_discount_of_a_document_are_known_to_both_counts(
    reconcile: Callable[..., Reconciliation],
    store: Callable[..., None],
    totals: Reconcile,
    changes: dict[str, Any],
    holds: bool,
) -> None:
    store(sound(1, **changes))
    answer = reconcile(totals)
    assert (answer.holds, [row["document"] for row in answer.at_fault]) == (holds, [] if holds else ["1"])


@pytest.mark.parametrize("totals", [reconciled_totals, totals_as_normalized])
def test_totals_that_were_accepted_are_counted_apart_until_their_document_changes(
    engine: Engine,
    company: Company,
    reconcile: Callable[..., Reconciliation],
    store: Callable[..., None],
    totals: Reconcile,
) -> None:
    store(sound(1, gross_total=200), sound(4, gross_total=300))
    with engine.begin() as connection:
        assert sorted(accept_unreconciled(connection, company.id, actor="anna")) == [1, 4]
        assert accept_unreconciled(connection, company.id, actor="anna") == []
    assert reconcile(totals) == Reconciliation(expected=1, found=1, unjudged=1, accepted=2)
    store(sound(4, gross_total=300, comment="changed"), sound(2, items=[], gross_total=128))
    answer = reconcile(totals)
    assert (answer.expected, answer.found, answer.accepted) == (2, 0, 1)
    assert [row["document"] for row in answer.at_fault] == ["4", "2"]


def test_no_more_than_the_worst_are_named_and_all_are_counted(
    reconcile: Callable[..., Reconciliation], store: Callable[..., None]
) -> None:
    store(*(sound(100 + n, gross_total=200 + n) for n in range(WORST + 5)))
    assert reconcile(reconciled_totals) == reconcile(totals_as_normalized)
    answer = reconcile(reconciled_totals)
    assert (answer.difference, len(answer.at_fault)) == (-WORST - 5, WORST)
    assert answer.at_fault[0]["document"] == str(100 + WORST + 4)


def test_the_worst_gap_comes_first(reconcile: Callable[..., Reconciliation], store: Callable[..., None]) -> None:
    store(sound(1, summary={"net_amount": 1, "vat_amount": 27}), sound(4, summary={"net_amount": 0, "vat_amount": 27}))
    answer = reconcile(reconciled_totals)
    assert [row["document"] for row in answer.at_fault] == ["4", "1"]


def test_a_deleted_document_that_does_not_add_up_is_left_out(
    reconcile: Callable[..., Reconciliation], store: Callable[..., None]
) -> None:
    store(sound(1, items=[item(gross_amount=1)]))
    answer = reconcile(reconciled_totals, after="UPDATE billingo.invoices SET deleted_at = now() WHERE id = 1")
    assert answer == Reconciliation(expected=2, found=2, unjudged=1)


@pytest.mark.parametrize("totals", [reconciled_totals, totals_as_normalized])
def test_what_a_discount_that_cannot_be_read_leaves_open_is_counted(
    reconcile: Callable[..., Reconciliation], store: Callable[..., None], totals: Reconcile
) -> None:
    store(sound(1, discount="10%", items=[item(gross_amount=Decimal("141.11"))]))
    assert reconcile(totals) == Reconciliation(expected=2, found=2, unjudged=2)


def quarantine(connection: Connection, company: Company, content_hash: bytes, document_id: int | None) -> None:
    reject(connection, DOCUMENTS, company.id, "fetch", [RejectedRecord(content_hash, document_id, "reason", "payload")])


@pytest.mark.parametrize(
    ("document_id", "held"), [(None, 6), (77, 6), (1, 5)], ids=["without an id", "never stored", "a newer version"]
)
def test_a_document_in_quarantine_is_held_once(
    engine: Engine, company: Company, store: object, document_id: int | None, held: int
) -> None:
    with engine.begin() as connection:
        quarantine(connection, company, b"x", document_id)
        assert held_records(connection, DOCUMENTS, company.id) == held


def test_a_deleted_document_is_not_held(engine: Engine, company: Company, store: object) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.raw_invoices SET deleted_at = now() WHERE document_id = 1"))
        assert held_records(connection, DOCUMENTS, company.id) == 4
