"""A small collection without an order or filters is read as a whole, and proved to be whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sandbox import Fault, SandboxServer
from billingo_assets.streams.stream import Column, NormalizedTable, Snapshot, Stream
from billingo_assets.sync.context import MAX_LISTINGS
from billingo_assets.warehouse.schema import SCHEMA, metadata
from billingo_assets.warehouse.stream_tables import define_stream_tables
from billingo_assets_tests.support.books import Books

PATH = "/shelves"
SHELVES = Stream(
    name="shelves",
    noun="shelf",
    about="Shelves, which Billingo does not have.",
    path=PATH,
    raw="raw_shelves",
    versions="raw_shelf_versions",
    raw_key="shelf_id",
    tables=(
        NormalizedTable(
            name="shelves",
            comment="One row for each shelf",
            asset="One row a shelf.",
            key=("id",),
            columns=(
                Column("id", "integer", "Its id", "id", nullable=False),
                Column("label", "text", "What is written on it", "label", personal=False, essential=True),
                Column("width", "amount", "Its width", "size.width"),
            ),
        ),
        NormalizedTable(
            name="shelf_boards",
            comment="One row for each board of a shelf",
            key=("shelf_id", "position"),
            columns=(
                Column("shelf_id", "integer", "The shelf", "id", nullable=False),
                Column("position", "integer", "Place of the board, from 1", "boards[]", nullable=False),
                Column("wood", "text", "Its wood", "boards[].wood", personal=False),
            ),
        ),
    ),
    normalizer_version=1,
    strategy=Snapshot(),
)

Shelves = list[dict[str, Any]]


def shelf(id_: int) -> dict[str, Any]:
    return {"id": id_, "label": f"No. {id_}", "size": {"width": 1.1}, "boards": [{"wood": "oak"}, {"wood": "ash"}]}


@pytest.fixture(scope="module")
def _declared() -> Iterator[None]:
    """The stream's tables among the declared ones, for this module alone."""
    before = set(metadata.tables)
    define_stream_tables(SHELVES)
    yield
    for name in set(metadata.tables) - before:
        metadata.remove(metadata.tables[name])


@pytest.fixture
def shelves(_declared: None, books: Books) -> Shelves:
    """Two pages and a half of shelves, as the API shows them. Change them at will."""
    names = (SHELVES.raw, SHELVES.versions, *(table.name for table in SHELVES.tables))
    metadata.create_all(books.engine, [metadata.tables[f"{SCHEMA}.{name}"] for name in names])
    books.served.collections[PATH] = found = [shelf(id_) for id_ in range(1, MAX_PAGE_SIZE * 5 // 2 + 1)]
    return found


def sync(books: Books, **options: Any) -> Any:
    return books.sync(stream=SHELVES, full=False, **options)


def live(books: Books) -> set[int]:
    query = "SELECT shelf_id FROM billingo.raw_shelves WHERE company_id = :company AND deleted_at IS NULL"
    assert {id_ for (id_,) in books.rows("SELECT id FROM billingo.shelves WHERE deleted_at IS NULL")} == {
        id_ for (id_,) in books.rows(query)
    }
    return {id_ for (id_,) in books.rows(query)}


def requests(sandbox: SandboxServer) -> int:
    return sum(request.path == f"/v3{PATH}" for request in sandbox.requests)


def test_every_record_becomes_a_row_with_its_parts(books: Books, shelves: Shelves) -> None:
    report = sync(books)
    assert (report.processed, report.created, report.api_total) == (len(shelves), len(shelves), len(shelves))
    rows = books.rows(
        "SELECT label, width::text, string_agg(wood, ' ' ORDER BY position) FROM billingo.shelves"
        " JOIN billingo.shelf_boards ON shelf_id = id WHERE id = 7 GROUP BY 1, 2"
    )
    assert rows == [("No. 7", "1.1", "oak ash")]
    assert live(books) == {one["id"] for one in shelves}


def test_more_than_a_page_is_read_twice_and_a_single_page_once(
    books: Books, shelves: Shelves, sandbox: SandboxServer
) -> None:
    sync(books)
    pages = requests(sandbox)
    del shelves[40:]
    sync(books, accept_empty=False)  # two readings: records are gone
    sandbox.requests.clear()
    sync(books)
    assert (pages % 2, requests(sandbox)) == (0, 1)


def test_nothing_changed_changes_nothing(books: Books, shelves: Shelves) -> None:
    sync(books)
    report = sync(books)
    assert (report.created, report.updated, report.deleted, report.unchanged) == (0, 0, 0, len(shelves))


def test_what_was_added_edited_and_removed_is_found(books: Books, shelves: Shelves) -> None:
    sync(books)
    shelves.append(shelf(900))
    shelves[3]["label"] = "mended"
    gone = shelves.pop(120)["id"]
    report = sync(books)
    assert (report.created, report.updated, report.deleted) == (1, 1, 1)
    assert gone not in live(books)
    assert {900, *(one["id"] for one in shelves)} == live(books)
    query = "SELECT payload ->> 'label' FROM billingo.raw_shelf_versions WHERE company_id = :company"
    assert books.rows(query) == [("No. 4",)]


def test_a_record_that_moves_to_a_page_read_before_is_not_taken_for_gone(
    books: Books, shelves: Shelves, sandbox: SandboxServer
) -> None:
    sync(books)
    sandbox.faults.after_page(2, lambda: shelves.append(shelves.pop(0)), listing="all")
    report = sync(books)
    assert (report.deleted, report.watermark is None) == (0, False)
    assert live(books) == {one["id"] for one in shelves}


def test_a_collection_that_never_holds_still_is_reported_and_nothing_is_marked_gone(
    books: Books, shelves: Shelves, sandbox: SandboxServer
) -> None:
    sync(books)

    def exchange() -> None:
        shelves.append(shelf(shelves.pop(0)["id"] + 1000))

    sandbox.faults.after_page(2, exchange, times=MAX_LISTINGS)
    report = sync(books)
    assert report.watermark is None
    assert report.unsettled is not None
    assert "kept changing while they were read" in report.unsettled.why
    assert report.deleted == 0


def test_a_count_that_its_pages_never_show_is_reported_as_one(
    books: Books, shelves: Shelves, sandbox: SandboxServer
) -> None:
    sandbox.faults.add(Fault(kind="total", path=f"/v3{PATH}", value=len(shelves) + 1, times=None))
    report = sync(books)
    assert report.watermark is None
    assert report.unsettled is not None
    counted = f"Billingo counted {len(shelves) + 1} shelves, and its pages showed {len(shelves)}"
    assert report.unsettled.why == counted


def test_one_false_empty_answer_deletes_nothing(books: Books, shelves: Shelves, sandbox: SandboxServer) -> None:
    sync(books)
    sandbox.faults.add(Fault(kind="total", path=f"/v3{PATH}", value=0, times=1))
    sandbox.faults.add(Fault(kind="empty_page", path=f"/v3{PATH}", times=1))
    with pytest.raises(EmptyAnswerError, match="Billingo shows no shelves"):
        sync(books)
    assert live(books) == {one["id"] for one in shelves}


def test_an_unreadable_record_goes_to_quarantine_and_comes_back(books: Books, shelves: Shelves) -> None:
    label = shelves[5].pop("label")
    shelves[5]["label"] = ["no text"]
    sync(books)
    assert [(id_, stage) for id_, stage, _ in books.quarantine()] == [(6, "normalize")]
    shelves[5]["label"] = label
    sync(books)
    assert books.quarantine() == []
    assert live(books) == {one["id"] for one in shelves}
