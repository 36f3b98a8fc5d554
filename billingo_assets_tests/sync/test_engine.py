"""A company's documents, from the sandbox into every table: first, again, and after changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import CredentialsError, IdentityMismatchError, UnavailableError
from billingo_assets.sandbox import Fault, Quirks, SandboxServer
from billingo_assets.sandbox.ledger import ledger_of
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets_tests.support.books import TABLES, Books
from billingo_assets_tests.support.documents import as_json, document
from billingo_assets_tests.support.truth import held, require_truth

NUMERALS = msgspec.json.Decoder(float_hook=lambda numeral: f"number {numeral}")


def counts(report: SyncReport) -> tuple[int, int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.deleted, report.skipped


def test_after_a_first_sync_the_tables_of_every_company_equal_the_ledger(all_books: dict[str, Books]) -> None:
    for books in all_books.values():
        books.sync()
    assert {key: held(books) for key, books in all_books.items()} == all_books["ozon-bt"].sandbox.world.ledger()


def test_a_first_sync_reports_every_document_as_created(books: Books) -> None:
    ledger = books.served.ledger()
    report = books.fetch()
    assert counts(report) == (ledger.documents, 0, 0, 0, 0)
    assert (report.processed, report.items, report.api_total) == (ledger.documents, ledger.items, ledger.documents)


def test_the_links_between_documents_are_those_that_are_served(books: Books) -> None:
    books.sync()
    served = {
        (document["id"], related["id"], related["invoice_number"])
        for document in books.served.documents()
        for related in document.get("related_documents") or []
    }
    query = "SELECT invoice_id, related_invoice_id, related_invoice_number FROM billingo.related_documents"
    assert {tuple(row) for row in books.rows(query)} == served != set()


def test_a_second_sync_reports_every_document_as_unchanged(books: Books) -> None:
    books.sync()
    assert counts(books.fetch()) == (0, 0, books.served.ledger().documents, 0, 0)


def test_a_second_sync_writes_no_row_anew(books: Books) -> None:
    books.sync()
    before = books.row_versions()
    books.sync()
    assert books.row_versions() == before
    assert all(before[table] for table in TABLES)


def test_five_changed_drafts_and_a_deleted_one_are_reported_as_exactly_that(books: Books) -> None:
    books.sync()
    gone, *changed = books.of_type("draft")[:6]
    books.served.delete(gone)
    for document_id in changed:
        books.served.change(document_id, comment="módosítva")
    assert counts(books.fetch()) == (0, 5, books.served.ledger().documents - 5, 1, 0)


def test_after_changes_of_every_kind_the_tables_equal_the_ledger_again(books: Books) -> None:
    books.sync()
    drafts, invoices = books.of_type("draft"), books.of_type("invoice")
    books.served.delete(drafts[0])
    books.served.change(drafts[1], items=[], gross_total=0)
    books.served.create(currency="EUR")
    books.served.pay(invoices[0])
    books.served.cancel(next(id_ for id_ in invoices if not books.served.document(id_)["cancelled"]))
    books.sync()
    require_truth(books)


def test_an_item_removed_from_a_document_leaves_no_row_over(books: Books) -> None:
    books.served.add_raw(document(7, items=[{"name": "első"}, {"name": "második"}, {"name": "harmadik"}]))
    books.sync()
    books.served.change(7, items=[{"name": "második"}])
    books.sync()
    assert books.items(7) == [(1, "második")]


def test_a_deleted_document_keeps_its_raw_row_and_its_invoice_marked_at_the_same_moment(books: Books) -> None:
    draft = books.of_type("draft")[0]
    books.sync()
    payload = books.stored(draft).payload
    books.served.delete(draft)
    books.sync()
    raw, invoice = books.stored(draft), books.invoice(draft)
    assert raw.payload == payload
    assert invoice is not None
    assert invoice.deleted_at == raw.deleted_at is not None


def test_the_items_and_links_of_a_deleted_document_go(books: Books) -> None:
    books.served.add_raw(document(7))
    books.sync()
    books.served.delete(7, even_if_issued=True)
    books.sync()
    assert books.items(7) == []
    assert books.rows("SELECT FROM billingo.related_documents WHERE invoice_id = 7") == []


def test_a_document_that_comes_back_is_whole_again(books: Books) -> None:
    sent = document(7)
    books.served.add_raw(sent)
    books.sync()
    items = books.items(7)
    books.served.delete(7, even_if_issued=True)
    books.sync()
    books.served.add_raw(sent)
    books.sync()
    invoice = books.invoice(7)
    assert invoice is not None
    assert (books.stored(7).deleted_at, invoice.deleted_at) == (None, None)
    assert books.items(7) == items != []
    assert len(books.rows("SELECT FROM billingo.related_documents WHERE invoice_id = 7")) == 1


def test_a_document_that_is_deleted_stays_deleted_at_the_moment_it_was_first_missed(books: Books) -> None:
    draft = books.of_type("draft")[0]
    books.sync()
    books.served.delete(draft)
    books.sync()
    missed = books.stored(draft).deleted_at
    assert books.fetch().deleted == 0
    assert books.stored(draft).deleted_at == missed


def test_two_companies_may_hold_the_very_same_document(all_books: dict[str, Books]) -> None:
    pair = [all_books["ozon-bt"], all_books["arvizturo"]]
    for books in pair:
        books.served.add_raw(document(7))
        books.sync()
    pair[0].served.delete(7, even_if_issued=True)
    pair[0].sync()
    assert [7 in books.live() for books in pair] == [False, True]
    assert [len(books.items(7)) for books in pair] == [0, 3]


def test_every_payload_holds_the_numerals_that_were_sent(books: Books) -> None:
    sent = {
        7: '{"z": 1.50, "a": [0.10, -0.0, 100.00], "id": 7, "big": 123456789012345678901234567890.1230, "n": 1e3}',
        8: '{"gross_total": 12345678901234567890123, "id": 8, "rate": 391.250000}',
    }
    for text in sent.values():
        books.served.add_raw(text.encode())
    books.sandbox.faults.quirks = Quirks(unpaid_paid_date="stored")
    books.fetch()
    expected = {document["id"]: NUMERALS.decode(as_json(document)) for document in books.served.documents()}
    expected[7] |= {"n": 1000, "a": ["number 0.10", "number 0.0", "number 100.00"]}
    rows = books.rows("SELECT document_id, payload::text FROM billingo.raw_invoices")
    assert {document_id: NUMERALS.decode(text) for document_id, text in rows} == expected


def test_the_same_numbers_and_fields_written_otherwise_are_no_change(books: Books) -> None:
    books.served.add_raw(b'{"id": 7, "conversion_rate": 1, "gross_total": 10.50, "comment": "\\u00e1"}')
    books.sync()
    books.served.delete(7, even_if_issued=True)
    books.served.add_raw('{"comment": "á", "gross_total":1.05e1, "conversion_rate":1.0,"id":7}'.encode())
    stored, invoice = books.stored(7), books.invoice(7)
    assert books.sync().updated == 0
    assert books.value("SELECT count(*) FROM billingo.raw_invoice_versions") == 0
    respelled, unchanged = books.stored(7), books.invoice(7)
    assert invoice is not None
    assert unchanged is not None
    assert unchanged.content_hash == respelled.content_hash != stored.content_hash
    assert (respelled.text, respelled.changed_at) == (stored.text, stored.changed_at)
    assert unchanged.normalized_at == invoice.normalized_at
    before = books.row_versions()
    books.sync()
    assert books.row_versions() == before


def test_a_key_of_another_company_is_refused_before_a_document_is_read(books: Books) -> None:
    stranger = dataclasses.replace(books.company, tax_code="99999999-2-42")
    with pytest.raises(IdentityMismatchError, match=r"99999999-2-42.*opens the books of") as refused:
        books.fetch(company=stranger)
    assert (refused.value.expected, refused.value.found) == ("99999999-2-42", books.served.tax_code)
    assert [request.path for request in books.sandbox.requests] == ["/v3/organization"]
    assert books.live() == set()


def test_the_watermark_is_the_servers_clock_before_the_first_page(books: Books, sandbox: SandboxServer) -> None:
    ahead = timedelta(hours=3)
    sandbox.faults.quirks = Quirks(clock_skew_seconds=ahead.total_seconds())
    started = datetime.now(UTC).replace(microsecond=0)
    pages: list[datetime] = []
    report = books.fetch(on_page=lambda _: pages.append(datetime.now(UTC)))
    state = books.state()
    assert state is not None
    assert state.watermark == report.watermark
    assert started + ahead <= state.watermark <= pages[0] + ahead


def test_the_state_names_the_run_and_the_total_that_it_vouches_for(books: Books) -> None:
    books.fetch(run_id="1f0c")
    state = books.state()
    assert state is not None
    assert (state.run_id, state.api_total) == ("1f0c", books.served.ledger().documents)


def test_a_page_that_fails_for_ever_leaves_the_pages_before_it_and_no_watermark(
    books: Books, sandbox: SandboxServer
) -> None:
    sandbox.faults.add(Fault(kind="status", path="/v3/documents", page=3, times=None))
    newest = {document["id"] for document in books.served.documents()[: 2 * MAX_PAGE_SIZE]}
    with pytest.raises(UnavailableError):
        books.fetch()
    assert books.live() == newest
    assert books.state() is None


def test_a_full_sync_that_breaks_off_again_tells_what_both_attempts_had_read(
    books: Books, sandbox: SandboxServer
) -> None:
    books.served.add_raw(b"null")
    items = sum(len(sent["items"]) for sent in books.served.documents()[1:200])
    for created in (199, 0):  # the second time it goes on where the first broke off
        sandbox.faults.add(Fault(kind="status", path="/v3/documents", page=3, times=2))
        with pytest.raises(UnavailableError) as failed:
            books.fetch(concurrent_requests=1)
        told = failed.value.counts
        assert (told["processed"], told["skipped"], told["items"]) == (200, 1, items)
        assert (told["created"], told["unchanged"]) == (created, 199 - created)


def test_a_failed_sync_marks_nothing_as_deleted(books: Books, sandbox: SandboxServer) -> None:
    books.sync()
    books.served.delete(books.of_type("draft")[0])
    sandbox.faults.add(Fault(kind="status", path="/v3/documents", page=2, times=None))
    with pytest.raises(UnavailableError):
        books.fetch()
    assert books.rows("SELECT FROM billingo.raw_invoices WHERE deleted_at IS NOT NULL") == []


def test_the_sync_after_a_failed_one_completes_it(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="status", path="/v3/documents", page=3, times=2))
    with pytest.raises(UnavailableError):
        books.fetch(concurrent_requests=1)
    report = books.sync()
    assert counts(report) == (82, 0, 200, 0, 0)
    assert held(books) == books.served.ledger()


def test_a_sync_whose_session_is_ended_stops_writing_and_leaves_no_watermark(books: Books) -> None:
    def end_the_session(progress: Progress) -> None:
        books.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises(OperationalError):
        books.fetch(on_page=end_the_session)
    assert len(books.live()) == 100
    assert books.state() is None


def test_progress_is_told_after_each_batch_that_is_stored(books: Books) -> None:
    told: list[Progress] = []
    stored: list[int] = []

    def note(progress: Progress) -> None:
        told.append(progress)
        stored.append(len(books.live()))

    books.fetch(on_page=note)
    assert told[0] == Progress(page=1, last_page=3, documents=MAX_PAGE_SIZE, total=282)
    assert told[-1] == Progress(page=3, last_page=3, documents=282, total=282)
    assert [progress.documents for progress in told] == stored


def test_the_api_calls_that_are_reported_are_those_that_were_sent(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="status", path="/v3/documents", page=2))
    # Whose key it is, three pages, one of them twice, and what has arrived meanwhile.
    assert books.fetch().api_calls == len(sandbox.requests) == 6


@pytest.mark.parametrize(
    "clean_up", [lambda books: None, lambda books: books.sync()], ids=["at once", "after another sync"]
)
def test_a_company_without_documents_is_synced(books: Books, clean_up: Callable[[Books], object]) -> None:
    clean_up(books)
    for sent in books.served.documents():
        books.served.delete(sent["id"], even_if_issued=True)
    books.sync(accept_empty=True)
    assert held(books) == ledger_of([])


def test_a_full_sync_that_is_refused_says_that_it_was_one(one_page: Books) -> None:
    one_page.sync()
    one_page.sandbox.faults.add(Fault(kind="status", status=401, times=None))
    with pytest.raises(CredentialsError) as refused:
        one_page.fetch(full=True)
    assert refused.value.counts["mode"] == "full"


def test_a_full_sync_that_breaks_off_counts_the_lines_and_the_broken_documents_that_it_read(three_pages: Books) -> None:
    broken = three_pages.served.documents()[0]["id"]
    three_pages.served.change(broken, comment="a\0b")
    three_pages.sandbox.faults.add(Fault(kind="status", page=3, listing="all", times=None))
    with pytest.raises(UnavailableError) as broke_off:
        three_pages.fetch(concurrent_requests=1)
    read = three_pages.served.documents()[1:200]
    counts = broke_off.value.counts
    assert (counts["skipped"], counts["unchanged"]) == (1, 0)
    assert counts["items"] == sum(len(document["items"]) for document in read)
