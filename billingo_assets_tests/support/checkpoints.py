"""The moments of a sync that tests can wait for or kill it at, by name. No tests here.

A checkpoint is a statement that the sync is about to execute, COMMIT, or something that it has done, as `page 2`. How a
statement is recognized is said here alone.
"""

from __future__ import annotations

COMMIT = "-- COMMIT"
FETCHED = "-- fetched"

LISTING_BEGINS = "the listing begins"
PAGE_IS_NOTED = "a page is noted"
LISTING_ADVANCES = "the listing advances"
CATCH_UP = "the catch-up compares"
LISTED_ARE_COLLECTED = "the listed are collected"
LISTED_ITEMS_ARE_COUNTED = "the lines of the listed are counted"
MISSING_ARE_MARKED = "the missing are marked"
RECORDS_ARE_WRITTEN = "changed records are written"
SERIES_ARE_SOUGHT = "series are sought"
WATERMARK_IS_WRITTEN = "the watermark is written"
CHANGES_ARE_COUNTED = "changes are counted"
NORMALIZATION_BEGINS = "normalization begins"
PENDING_ARE_FETCHED = "pending records are fetched"
LAST_ROWS_ARE_DELETED = "the last former rows are deleted"
NORMALIZATION_ENDS = "normalization ends"
LOCK_IS_RELEASED = "the lock is released"

_STATEMENTS = {
    LISTING_BEGINS: "INSERT INTO billingo.listings ",
    PAGE_IS_NOTED: "INSERT INTO billingo.listing_pages",
    LISTING_ADVANCES: "UPDATE billingo.listings ",
    CATCH_UP: "EXCEPT SELECT unnest(document_ids)",
    LISTED_ARE_COLLECTED: "CREATE TEMP TABLE listed_",
    LISTED_ITEMS_ARE_COUNTED: "SELECT coalesce(sum(item_count), 0)",
    MISSING_ARE_MARKED: "UPDATE billingo.raw_invoices AS raw SET deleted_at",
    RECORDS_ARE_WRITTEN: "INSERT INTO billingo.raw_invoices AS raw",
    SERIES_ARE_SOUGHT: "SELECT block_id, number_series FROM changed",
    WATERMARK_IS_WRITTEN: "INSERT INTO billingo.sync_state",
    CHANGES_ARE_COUNTED: "count(*) FILTER (WHERE first_synced_at >=",
    NORMALIZATION_BEGINS: "DECLARE pending_records",
    PENDING_ARE_FETCHED: "FETCH ",
    LAST_ROWS_ARE_DELETED: "DELETE FROM billingo.related_documents",
    NORMALIZATION_ENDS: "CLOSE pending_records",
    LOCK_IS_RELEASED: "pg_advisory_unlock",
}


def page(number: int) -> str:
    """The checkpoint at which this page is stored."""
    return f"page {number}"


def is_passed(checkpoint: str, event: str) -> bool:
    """Whether an event of a sync, in one line, is this checkpoint."""
    return _STATEMENTS.get(checkpoint, checkpoint) in event
