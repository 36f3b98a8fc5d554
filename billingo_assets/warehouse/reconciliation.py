"""Compares held counts with expected ones. Each result is a `Reconciliation`; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, text

from billingo_assets.streams import Stream
from billingo_assets.warehouse.planning import plan_for_many_rows
from billingo_assets.warehouse.statements import for_stream, sql_for_stream

WORST = 10
"""The most documents that a result lists."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The expected and found counts, and the documents at fault, worst first, each as a row for people.

    Too little is known of `unjudged` documents; a person accepted the `accepted` ones. Neither count as expected or
    found.
    """

    expected: int
    found: int
    at_fault: tuple[dict[str, str], ...] = ()
    unjudged: int = 0
    accepted: int = 0

    @property
    def difference(self) -> int:
        """Negative: some are missing. Positive: there are too many."""
        return self.found - self.expected

    @property
    def holds(self) -> bool:
        """Whether no fault was found."""
        return self.difference == 0 and not self.at_fault


def held_records(connection: Connection, stream: Stream, company_id: int) -> int:
    """Count the held records that are not deleted, including those in quarantine."""
    query = """
        SELECT (SELECT count(*) FROM {raw} WHERE company_id = :company AND deleted_at IS NULL)
             + (SELECT count(*) FROM billingo.rejected_documents AS rejected
                WHERE company_id = :company AND stream = :stream AND stage = 'fetch' AND NOT EXISTS (
                    SELECT FROM {raw} AS raw
                    WHERE raw.company_id = :company AND raw.{key} = rejected.document_id AND raw.deleted_at IS NULL))
    """
    values = {"company": company_id, "stream": stream.name}
    held: int = connection.execute(for_stream(query, stream), values).scalar_one()
    return held


def rows_per_record(connection: Connection, stream: Stream, company_id: int) -> Reconciliation:
    """Compare live raw records, except quarantine, with their rows, one each, made from the newest version."""
    plan_for_many_rows(connection)
    values = {"company": company_id, "stream": stream.name, "worst": WORST}
    expected, found, wrong = connection.execute(for_stream(_COUNT_ROWS, stream), values).one()
    rows = connection.execute(_wrong_rows(stream), values) if wrong else ()
    at_fault = tuple({stream.noun: str(record), "fault": fault} for record, fault in rows)
    return Reconciliation(expected=expected, found=found, at_fault=at_fault)


def items_per_document(connection: Connection, company_id: int) -> Reconciliation:
    """Compare the rows of `invoice_items` with the lines in each document's JSON, except quarantine.

    Counts and a checksum of the documents' ids are compared first, single documents only if these differ.
    """
    expected, expected_sum, found, found_sum = connection.execute(_COUNT_ITEMS, {"company": company_id}).one()
    if (expected, expected_sum) == (found, found_sum):
        return Reconciliation(expected=expected, found=found)
    plan_for_many_rows(connection)
    rows = connection.execute(_COMPARE_ITEMS, {"company": company_id, "worst": WORST})
    at_fault = tuple(
        {"document": str(document), "items in the document": str(listed), "rows": str(written)}
        for document, listed, written in rows
    )
    return Reconciliation(expected=expected, found=found, at_fault=at_fault)


_ROWS_BESIDE_RECORDS = """
(
    SELECT {key} AS record_id, content_hash FROM {raw} AS raw
    WHERE company_id = :company AND deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM billingo.rejected_documents AS rejected
        WHERE rejected.company_id = :company AND rejected.stream = :stream AND rejected.stage = 'normalize'
          AND rejected.content_hash = raw.content_hash)
) AS raw FULL JOIN (
    SELECT {id} AS id, content_hash FROM {table}
    WHERE company_id = :company AND deleted_at IS NULL AND {id} NOT IN (
        SELECT document_id FROM billingo.rejected_documents
        WHERE company_id = :company AND stream = :stream AND stage = 'normalize')
) AS made ON made.id = raw.record_id
"""

_COUNT_ROWS = f"""
    SELECT count(record_id), count(id), count(*) FILTER (WHERE raw.content_hash IS DISTINCT FROM made.content_hash)
    FROM {_ROWS_BESIDE_RECORDS}
"""  # noqa: S608 - our own text

_WRONG_ROWS = f"""
    SELECT coalesce(record_id, id),
           CASE WHEN id IS NULL THEN 'has no row in {{made}}'
                WHEN record_id IS NULL THEN 'has a row in {{made}} but no {{noun}}'
                ELSE 'has changed since its row was made' END
    FROM {_ROWS_BESIDE_RECORDS}
    WHERE raw.content_hash IS DISTINCT FROM made.content_hash
    ORDER BY 1 LIMIT :worst
"""  # noqa: S608 - our own text


def _wrong_rows(stream: Stream) -> TextClause:
    return text(sql_for_stream(_WRONG_ROWS, stream, made=stream.table.name, noun=stream.noun))


_QUARANTINED = """
SELECT document_id FROM billingo.rejected_documents
WHERE company_id = :company AND stream = 'documents' AND stage = 'normalize'
"""

_COUNT_ITEMS = text(
    f"""
    WITH quarantined AS ({_QUARANTINED})
    SELECT * FROM (
        SELECT coalesce(sum(item_count), 0), coalesce(sum(item_count * (document_id % 1000003)), 0)
        FROM billingo.raw_invoices
        WHERE company_id = :company AND deleted_at IS NULL AND document_id NOT IN (SELECT * FROM quarantined)
    ) AS expected, (
        SELECT count(*), coalesce(sum(invoice_id % 1000003), 0) FROM billingo.invoice_items
        WHERE company_id = :company AND invoice_id NOT IN (SELECT * FROM quarantined)
    ) AS found
    """  # noqa: S608 - our own text
)

_COMPARE_ITEMS = text(
    f"""
    WITH quarantined AS ({_QUARANTINED}), expected AS (
        SELECT document_id, item_count FROM billingo.raw_invoices
        WHERE company_id = :company AND deleted_at IS NULL AND document_id NOT IN (SELECT * FROM quarantined)
    ), found AS (
        SELECT invoice_id AS document_id, count(*) AS item_count FROM billingo.invoice_items
        WHERE company_id = :company AND invoice_id NOT IN (SELECT * FROM quarantined) GROUP BY invoice_id
    )
    SELECT document_id, coalesce(expected.item_count, 0) AS listed, coalesce(found.item_count, 0) AS written
    FROM expected FULL JOIN found USING (document_id)
    WHERE expected.item_count IS DISTINCT FROM found.item_count AND NOT (found IS NULL AND expected.item_count = 0)
    ORDER BY abs(coalesce(expected.item_count, 0) - coalesce(found.item_count, 0)) DESC LIMIT :worst
    """  # noqa: S608 - our own text
)
