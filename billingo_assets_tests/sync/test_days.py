"""Days pass at Billingo, and nobody touches a document: nothing of it is a change, whatever the calendar says."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billingo_assets.sandbox import Quirks
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.records import read_record
from billingo_assets.warehouse.raw_records import Record, content_of
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import as_json, document
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.sync.conftest import OpenBooks

EITHER_WAY = pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
UNPAID = ("outstanding", "expired", "none")


@pytest.fixture
def synced(three_pages: Books) -> Books:
    three_pages.sync()
    return three_pages


def a_day_passes(books: Books) -> None:
    books.sandbox.world.advance(days=1)


def today(books: Books) -> date:
    """The day on which the sandbox is asked, as it tells it."""
    shown = next(body for body in pages(books) if any(f'"payment_status":"{one}"'.encode() in body for one in UNPAID))
    return date.fromisoformat(shown.partition(b'"paid_date":"')[2][:10].decode())


def pages(books: Books) -> list[bytes]:
    with books.client() as client:
        return [body for page in (1, 2, 3) for body in client.records("/documents", page=page).records]


def an_unpaid(books: Books, status: str = "outstanding") -> int:
    """The newest document of a status; of those the sandbox made, or one that is made now."""
    ids = [one["id"] for one in books.served.documents() if one["payment_status"] == status]
    return int(ids[0]) if ids else int(books.served.create(payment_status=status)["id"])


def history(books: Books, document_id: int) -> list[tuple[int, str, str]]:
    rows = books.rows(
        "SELECT version, payload ->> 'payment_status', payload ->> 'paid_date' FROM billingo.raw_invoice_history"
        " WHERE company_id = :company AND document_id = :id ORDER BY version",
        id=document_id,
    )
    return [(version, status, day) for version, status, day in rows]


def versions(books: Books) -> int:
    count: int = books.value("SELECT count(*) FROM billingo.raw_invoice_versions WHERE company_id = :company")
    return count


@EITHER_WAY
@pytest.mark.parametrize("finds_unpaid", [False, True], ids=["filter by payments", "filter by paid_date"])
def test_days_that_pass_update_nothing_and_write_nothing(synced: Books, full: bool, finds_unpaid: bool) -> None:
    assert {one["payment_status"] for one in synced.served.documents()} >= {"none", "expired"}
    synced.sandbox.faults.quirks = Quirks(paid_filter_finds_unpaid=finds_unpaid)
    before = synced.row_versions()
    for _ in range(3):
        a_day_passes(synced)
        report = synced.sync(full=full)
        assert (report.mode, report.created, report.updated) == ("full" if full else "incremental", 0, 0)
    assert synced.row_versions() == before
    assert versions(synced) == 0
    require_truth(synced)


def test_no_document_that_is_not_paid_has_a_day_of_payment(synced: Books) -> None:
    rows = synced.rows(
        "SELECT payment_status, count(*), count(paid_date) FROM billingo.invoices"
        " WHERE company_id = :company GROUP BY 1"
    )
    dated = {status: (total, with_day) for status, total, with_day in rows}
    assert {status: with_day for status, (_, with_day) in dated.items() if status in UNPAID} == {
        status: 0 for status in UNPAID if status in dated
    }
    assert dated["paid"][0] == dated["paid"][1] > 0


@EITHER_WAY
def test_a_payment_is_an_update_with_one_version(synced: Books, full: bool) -> None:
    unpaid, first_day = an_unpaid(synced, "expired"), today(synced)
    a_day_passes(synced)
    synced.served.pay(unpaid)
    report = synced.sync(full=full)
    assert (report.mode, report.updated, versions(synced)) == ("full" if full else "incremental", 1, 1)
    second_day = first_day + timedelta(days=1)
    assert history(synced, unpaid) == [
        (1, "expired", first_day.isoformat()),
        (2, "paid", second_day.isoformat()),
    ]
    invoice = synced.invoice(unpaid)
    assert invoice is not None
    assert invoice.paid_date == second_day
    a_day_passes(synced)
    assert synced.sync(full=full).updated == 0


def test_another_day_of_payment_is_an_update(synced: Books) -> None:
    paid = an_unpaid(synced, "paid")
    synced.served.pay(paid, on=date(2026, 7, 9))
    assert synced.sync(full=False).updated == 1
    invoice = synced.invoice(paid)
    assert invoice is not None
    assert invoice.paid_date == date(2026, 7, 9)


def test_an_outstanding_document_that_expires_is_an_update(synced: Books) -> None:
    unpaid = an_unpaid(synced)
    synced.sync()
    a_day_passes(synced)
    synced.served.change(unpaid, payment_status="expired")
    assert synced.sync(full=False).updated == 1
    assert [status for _, status, _ in history(synced, unpaid)] == ["outstanding", "expired"]


@pytest.mark.parametrize("status", [None, "", "owed", 7])
def test_the_day_of_a_status_that_nobody_knows_is_no_change(one_page: Books, status: Any) -> None:
    sent = document(7, payment_status=status)
    for day, updated in (("2026-02-02", 0), ("2026-02-03", 0), ("2026-02-04", 0)):
        if day != "2026-02-02":
            one_page.served.delete(7, even_if_issued=True)
        one_page.served.add_raw(as_json(sent | {"paid_date": day}).encode())
        assert one_page.sync().updated == updated
    assert versions(one_page) == 0
    assert one_page.stored(7).payload["paid_date"] == "2026-02-02"
    invoice = one_page.invoice(7)
    assert invoice is not None
    assert invoice.paid_date is None


def test_a_document_that_comes_back_on_another_day_is_one_that_was_gone(synced: Books) -> None:
    draft = synced.served.document(synced.of_type("draft")[0])
    synced.served.delete(draft["id"])
    synced.sync()
    a_day_passes(synced)
    synced.served.add_raw(draft)
    synced.sync()
    assert [version for version, *_ in history(synced, draft["id"])] == [1, 2]


BROKEN = {
    "not understood": ({"gross_total": "sok"}, "normalize"),
    "not storable": ({"comment": "\0"}, "fetch"),
    "without an id": ({"id": None}, "fetch"),
}


@EITHER_WAY
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_in_quarantine_is_not_put_there_again_each_day(one_page: Books, case: str, full: bool) -> None:
    changes, stage = BROKEN[case]
    one_page.served.add_raw(document(7, payment_status="outstanding") | changes)
    one_page.sync()
    entries = "SELECT stage, content_hash, first_seen_at FROM billingo.rejected_documents WHERE company_id = :company"
    before = one_page.rows(entries)
    assert [row.stage for row in before] == [stage]
    for _ in range(2):
        a_day_passes(one_page)
        one_page.sync(full=full)
        assert one_page.rows(entries) == before


def hashed_as_sent(books: Books) -> None:
    """Have the stored hashes be what they were before they left out what follows the clock."""
    for body in pages(books):
        document_ = read_record(DOCUMENTS, body)
        assert isinstance(document_, Record)
        values = {"id": document_.id, "hash": hashlib.sha256(body).digest()}
        for table, key in (("raw_invoices", "document_id"), ("invoices", "id"), ("rejected_documents", "document_id")):
            books.rows(
                f"UPDATE billingo.{table} SET content_hash = :hash WHERE company_id = :company AND {key} = :id",
                **values,
            )


def test_hashes_of_former_rules_are_brought_up_to_date_and_nothing_else(open_books: OpenBooks) -> None:
    books = open_books("it-cardigan")
    misunderstood = an_unpaid(books)
    books.served.change(misunderstood, gross_total="sok")
    books.sync()
    queries = [
        f"SELECT {columns} FROM billingo.{table} WHERE company_id = :company ORDER BY 1"
        for table, columns in {
            "raw_invoices": "document_id, payload::text, content_hash, changed_at, version",
            "invoices": "id, content_hash, normalized_at",
            "rejected_documents": "document_id, content_hash, first_seen_at",
        }.items()
    ]
    expected = [books.rows(query) for query in queries]
    hashed_as_sent(books)
    assert [books.rows(query) for query in queries] != expected
    a_day_passes(books)
    report = books.sync()
    assert (report.updated, report.created, versions(books)) == (0, 0, 0)
    assert [books.rows(query) for query in queries] == expected
    before = books.row_versions()
    a_day_passes(books)
    assert books.sync().updated == 0
    assert books.row_versions() == before


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "payment_status": st.sampled_from(
            [*UNPAID, "paid", "partially_paid", "Paid", "", None, 7, ["paid"], {"paid": 1}]
        ),
        "paid_date": st.sampled_from(["2026-02-02", "2026-02-03", "", None, 7]),
        "comment": st.sampled_from(["a", '"paid_date":"2026-02-02"']),
        "nested": st.sampled_from([{"paid_date": "2026-02-02"}, {"paid_date": "2026-02-03"}]),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(one=FIELDS, other=FIELDS)
def test_the_hash_and_the_database_agree_on_what_is_the_same_content(one_page: Books, one: Any, other: Any) -> None:
    sent = [as_json({"id": 7} | dict(sorted(fields.items()))) for fields in (one, other)]
    hashes = []
    for text_ in sent:
        found = read_record(DOCUMENTS, text_.encode())
        assert isinstance(found, Record)
        hashes.append(found.content_hash)
    with one_page.engine.connect() as connection:
        equal = connection.scalar(
            text(
                f"SELECT {content_of(DOCUMENTS, 'one')} = {content_of(DOCUMENTS, 'other')}"
                " FROM (VALUES (CAST(:one AS jsonb), CAST(:other AS jsonb))) AS contents (one, other)"
            ),
            {"one": sent[0], "other": sent[1]},
        )
    assert (hashes[0] == hashes[1]) == equal
