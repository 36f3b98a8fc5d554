"""What must hold after a sync was cut short, and after the next one. No tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from urllib.parse import parse_qs

import msgspec

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.sync.report import SyncReport
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.patience import until
from billingo_assets_tests.support.truth import content, require_truth
from billingo_assets_tests.support.victim import sync_as_the_assets_do

_EXACT = msgspec.json.Decoder(float_hook=Decimal)

_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database" + (
    " WHERE datname = current_database())"
)


def require_vouched_is_stored(books: Books) -> None:
    """Fail unless every document that is served and was last changed before the watermark is stored as it is served.

    The watermark tells whole seconds; what was changed within its own is not vouched for.
    """
    state = books.state()
    if state is None or state.watermark is None:
        return
    stored = {
        document_id: content(_EXACT.decode(payload))
        for document_id, payload in books.rows(
            "SELECT document_id, payload::text FROM billingo.raw_invoices"
            " WHERE company_id = :company AND deleted_at IS NULL"
        )
    }
    with books.sandbox.world.lock:
        vouched = {
            record.facts.id: content(record.document())
            for record in books.served.records
            if max(record.created_at, record.edited_at or 0, record.payment_changed_at or 0)
            < int(state.watermark.timestamp())
        }
    assert {document_id: stored.get(document_id) for document_id in vouched} == vouched


def require_listing_is_stored(books: Books) -> None:
    """Fail unless the listing that was left tells of stored documents, and of all that it has passed."""
    rows = books.rows(
        "SELECT next_page, array(SELECT unnest(document_ids) FROM billingo.listing_pages AS page"
        " WHERE page.company_id = :company) FROM billingo.listings WHERE company_id = :company"
    )
    for next_page, document_ids in rows:
        assert set(document_ids) <= books.live()
        assert len(set(document_ids)) >= min(len(books.served.documents()), (next_page - 1) * MAX_PAGE_SIZE)


def await_free_lock(books: Books) -> None:
    """Wait until no session holds a lock: a server notices that a program is gone when it next turns to it."""
    until(lambda: not books.value(_LOCKS) or None, what="the lock of a sync that is dead")


def recover(books: Books, *, full: bool = False, prepare: Callable[[], object] = lambda: None) -> SyncReport:
    """Sync once, with no fault but those that `prepare` arms, and require that all is well.

    `sandbox.requests` are then those of this sync.
    """
    await_free_lock(books)
    begun_at = books.rows("SELECT started_at FROM billingo.listings WHERE company_id = :company")
    earliest = begun_at[0].started_at.timestamp() if begun_at else int(books.sandbox.world.clock())
    books.sandbox.faults.clear()
    books.sandbox.requests.clear()
    prepare()
    report = sync_as_the_assets_do(books.company.key, full=full)
    require_truth(books)
    require_vouched_is_stored(books)
    state = books.state()
    assert state is not None
    assert state.watermark is not None
    assert earliest <= state.watermark.timestamp() <= books.sandbox.world.clock()
    assert books.value(_LOCKS) == 0
    return report


def former_versions(books: Books) -> dict[int, int]:
    """How many superseded payloads are kept of each document that has any."""
    query = (
        "SELECT document_id, count(*) FROM billingo.raw_invoice_versions WHERE company_id = :company"
        " GROUP BY document_id"
    )
    return {document_id: count for document_id, count in books.rows(query)}  # noqa: C416 - rows, not pairs


def asked(books: Books) -> list[str]:
    """What was asked: paths, and of the documents the page, with the filter's name where there is one."""
    return list(_asked(books))


def _asked(books: Books) -> Iterator[str]:
    for request in books.sandbox.requests:
        query = parse_qs(request.query)
        if request.path != "/v3/documents":
            yield request.path.removeprefix("/v3/")
            continue
        filters = sorted(query.keys() - {"page", "per_page"})
        yield " ".join([*filters, query["page"][0]])
