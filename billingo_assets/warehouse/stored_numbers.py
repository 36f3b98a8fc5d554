"""Reads and rewrites the numbers of stored documents, for new rules of reading them. The rules are elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from billingo_assets.normalize.numbering import NUMBER_FIELDS, NUMBER_RULES, Numbering
from billingo_assets.warehouse.planning import plan_for_many_rows

BATCH_DOCUMENTS = 5_000

_FIELDS = ", ".join(f"'{name}', payload->'{name}'" for name in sorted(NUMBER_FIELDS))

_STORED = text(
    f"""
    SELECT document_id, jsonb_build_object({_FIELDS})::text FROM billingo.raw_invoices
    WHERE company_id = :company AND document_id > :after ORDER BY document_id LIMIT :most
    """  # noqa: S608 - our own names
)

_QUARANTINED = text(
    """
    SELECT content_hash, payload FROM billingo.rejected_documents
    WHERE company_id = :company AND stream = 'documents' AND stage = 'fetch'
    """
)

_CHANGE = """
UPDATE billingo.{table} AS stored
SET block_id = read.block_id, number_series = read.number_series, number_year = read.number_year,
    number = read.number, number_judged = read.number_judged, gapless = read.gapless
FROM unnest(
    CAST(:keys AS {type}[]), CAST(:block_id AS bigint[]), CAST(:number_series AS text[]), CAST(:number_year AS int[]),
    CAST(:number AS bigint[]), CAST(:number_judged AS boolean[]), CAST(:gapless AS boolean[])
) AS read (key, block_id, number_series, number_year, number, number_judged, gapless)
WHERE company_id = :company AND stored.{key} = read.key
  AND (stored.block_id, stored.number_series, stored.number_year, stored.number, stored.number_judged, stored.gapless)
      IS DISTINCT FROM
      (read.block_id, read.number_series, read.number_year, read.number, read.number_judged, read.gapless)
"""

_CHANGE_STORED = text(_CHANGE.format(table="raw_invoices", type="bigint", key="document_id"))
_CHANGE_QUARANTINED = text(_CHANGE.format(table="rejected_documents", type="bytea", key="content_hash"))

# A gap moves to the new series of the document before it, and so keeps its `found_at` and `asked_at`.
_MOVE_GAPS = text(
    """
    UPDATE billingo.number_gaps AS gap SET series = raw.number_series
    FROM billingo.raw_invoices AS raw
    WHERE gap.company_id = :company AND raw.company_id = :company AND raw.deleted_at IS NULL
      AND raw.block_id = gap.block_id AND raw.number_year = gap.year AND raw.number = gap.first_number - 1
      AND raw.number_series <> gap.series
    """
)

_RULES = text("SELECT number_rules FROM billingo.sync_state WHERE company_id = :company AND stream = 'documents'")


def are_numbers_current(connection: Connection, company_id: int) -> bool:
    """Whether the stored numbers were read by the current rules."""
    return bool(connection.scalar(_RULES, {"company": company_id}) == NUMBER_RULES)


def stored_number_fields(connection: Connection, company_id: int) -> Iterator[list[tuple[int, str]]]:
    """Yield the id and the fields of the number, as JSON, of every stored document, in batches."""
    after = 0
    while True:
        values = {"company": company_id, "after": after, "most": BATCH_DOCUMENTS}
        batch = [(document_id, fields) for document_id, fields in connection.execute(_STORED, values)]
        if not batch:
            return
        yield batch
        after = batch[-1][0]


def quarantined_payloads(connection: Connection, company_id: int) -> list[tuple[bytes, str]]:
    """The hash and text of every document that could not be stored."""
    return [(bytes(key), payload) for key, payload in connection.execute(_QUARANTINED, {"company": company_id})]


def change_stored(connection: Connection, company_id: int, numberings: Sequence[tuple[int, Numbering]]) -> None:
    """Write changed numbers of stored documents."""
    connection.execute(_CHANGE_STORED, _columns(company_id, numberings))


def change_quarantined(connection: Connection, company_id: int, numberings: Sequence[tuple[bytes, Numbering]]) -> None:
    """Write changed numbers of documents in quarantine."""
    connection.execute(_CHANGE_QUARANTINED, _columns(company_id, numberings))


def move_gaps(connection: Connection, company_id: int) -> None:
    """Move the gaps to the new series of their documents."""
    plan_for_many_rows(connection)
    connection.execute(_MOVE_GAPS, {"company": company_id})


def _columns(company_id: int, numberings: Sequence[tuple[Any, Numbering]]) -> dict[str, Any]:
    columns = {name: [getattr(numbering, name) for _, numbering in numberings] for name in Numbering._fields}
    return {"company": company_id, "keys": [key for key, _ in numberings], **columns}
