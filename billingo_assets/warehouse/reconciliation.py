"""Counts what is held against what should be there. Each answer is a `Reconciliation`; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from billingo_assets.warehouse.planning import plan_for_many_rows

WORST = 10
"""How many documents an answer names at most."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How many were expected and found, and the documents at fault, the worst first, each as a row for people.

    `unjudged` are those of which too little is known, `accepted` those that somebody accepted as they are: they are
    neither expected nor found.
    """

    expected: int
    found: int
    at_fault: tuple[dict[str, str], ...] = ()
    unjudged: int = 0
    accepted: int = 0

    @property
    def difference(self) -> int:
        """Negative: something is missing. Positive: there is too much."""
        return self.found - self.expected

    @property
    def holds(self) -> bool:
        """Whether all is as it should be."""
        return self.difference == 0 and not self.at_fault


def held_documents(connection: Connection, company_id: int) -> int:
    """How many documents we hold that are not deleted, those in quarantine included."""
    query = text(
        """
        SELECT (SELECT count(*) FROM billingo.raw_invoices WHERE company_id = :company AND deleted_at IS NULL)
             + (SELECT count(*) FROM billingo.rejected_documents AS rejected
                WHERE company_id = :company AND stage = 'fetch' AND NOT EXISTS (
                    SELECT FROM billingo.raw_invoices AS raw
                    WHERE raw.company_id = :company AND raw.document_id = rejected.document_id
                      AND raw.deleted_at IS NULL))
        """
    )
    held: int = connection.execute(query, {"company": company_id}).scalar_one()
    return held


def rows_per_document(connection: Connection, company_id: int) -> Reconciliation:
    """One live row of `invoices` for each live raw document, made from its newest version; quarantine excepted."""
    plan_for_many_rows(connection)
    values = {"company": company_id, "worst": WORST}
    expected, found, wrong = connection.execute(_COUNT_ROWS, values).one()
    rows = connection.execute(_WRONG_ROWS, values) if wrong else ()
    at_fault = tuple({"document": str(document), "fault": fault} for document, fault in rows)
    return Reconciliation(expected=expected, found=found, at_fault=at_fault)


def items_per_document(connection: Connection, company_id: int) -> Reconciliation:
    """As many rows of `invoice_items` for each document as its JSON lists; quarantine excepted.

    They are counted, with a checksum of the documents they belong to; only where these do not agree is it looked
    into document by document.
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


_ROWS_BESIDE_DOCUMENTS = """
(
    SELECT document_id, content_hash FROM billingo.raw_invoices AS raw
    WHERE company_id = :company AND deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM billingo.rejected_documents AS rejected
        WHERE rejected.company_id = :company AND rejected.stage = 'normalize'
          AND rejected.content_hash = raw.content_hash)
) AS raw FULL JOIN (
    SELECT id, content_hash FROM billingo.invoices
    WHERE company_id = :company AND deleted_at IS NULL AND id NOT IN (
        SELECT document_id FROM billingo.rejected_documents WHERE company_id = :company AND stage = 'normalize')
) AS invoice ON invoice.id = raw.document_id
"""

_COUNT_ROWS = text(
    f"""
    SELECT count(document_id), count(id), count(*) FILTER (WHERE raw.content_hash IS DISTINCT FROM invoice.content_hash)
    FROM {_ROWS_BESIDE_DOCUMENTS}
    """  # noqa: S608 - our own text
)

_WRONG_ROWS = text(
    f"""
    SELECT coalesce(document_id, id),
           CASE WHEN id IS NULL THEN 'has no row in invoices'
                WHEN document_id IS NULL THEN 'has a row in invoices but no document'
                ELSE 'has changed since its row was made' END
    FROM {_ROWS_BESIDE_DOCUMENTS}
    WHERE raw.content_hash IS DISTINCT FROM invoice.content_hash
    ORDER BY 1 LIMIT :worst
    """  # noqa: S608 - our own text
)

_QUARANTINED = """
SELECT document_id FROM billingo.rejected_documents WHERE company_id = :company AND stage = 'normalize'
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
