"""Writes docs/tables.md from the tables' metadata: `python -m tools.describe_tables`; `--check` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from billingo_assets.streams import STREAMS, Stream
from billingo_assets.streams.stream import NormalizedTable
from billingo_assets.warehouse.tables import metadata

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"

CHAPTERS = {
    **{
        stream.words.capitalize(): (*(table.name for table in stream.tables), stream.raw, stream.versions)
        for stream in STREAMS
    },
    "Companies": ("companies",),
    "What is missing or wrong": (
        "rejected_documents",
        "accepted_faults",
        "number_gaps",
        "ambiguous_numbers",
        "listing_differences",
    ),
    "Bookkeeping of the program": (
        "sync_state",
        "listings",
        "listing_pages",
        "company_readers",
        "audit_log",
        "outages",
        "alert_messages",
        "alert_deliveries",
        "alert_reasons",
    ),
}

Relation = tuple[str, str, str, str]


def _relations(stream: Stream) -> Iterator[Relation]:
    table = stream.table
    yield "companies", "||--o{", stream.raw, "id = company_id"
    yield stream.raw, "||--o{", stream.versions, f"company_id, {stream.raw_key}"
    yield stream.raw, "||--o|", table.name, f"company_id, {stream.raw_key} = {table.key[0]}"
    for detail in stream.details:
        yield table.name, "||--o{", detail.name, f"company_id, {table.key[0]} = {detail.key[0]}"


RELATIONS: tuple[Relation, ...] = (
    *(relation for stream in STREAMS for relation in _relations(stream)),
    ("companies", "||--o{", "rejected_documents", "id = company_id"),
    ("companies", "||--o{", "number_gaps", "id = company_id"),
    ("companies", "||--o|", "sync_state", "id = company_id"),
)

OPENING = """# Tables

Generated from the program's metadata by `python -m tools.describe_tables`; do not edit it by hand.

Everything is in the schema `billingo`. Two companies may hold documents with the same id: a document is identified by
`(company_id, id)`. Amounts and rates are `numeric`, exactly as sent. An empty text, null and a missing field are all
`NULL`, and so is `--` in place of the number of an account, a bank or a taxpayer. `paid_date` is `NULL` unless the
document is paid or partially paid: for any other document, Billingo sends the day of the request.

```mermaid
erDiagram
"""

VIEWS = """## Views

| view | |
|---|---|
"""

EXAMPLE = """
When did an invoice become paid?

```sql
SELECT document_id, min(valid_from) FROM billingo.raw_invoice_history
WHERE company_id = 1 AND payload ->> 'payment_status' = 'paid' GROUP BY document_id;
```
"""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def describe() -> str:
    """The page, as text."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield OPENING.rstrip("\n")
    for left, relation, right, by in RELATIONS:
        yield f'    {left} {relation} {right} : "{by}"'
    yield "```\n"
    for chapter, names in CHAPTERS.items():
        yield f"## {chapter}\n"
        for name in names:
            yield from _table(metadata.tables[f"billingo.{name}"])
    yield VIEWS + "".join(_views()) + EXAMPLE


def _views() -> Iterator[str]:
    for stream in STREAMS:
        words = f"every content that a {stream.noun} has had; `valid_to` is `NULL` while it has it"
        yield f"| `billingo.{stream.history}` | {words} |\n"
    yield "| `billingo_masked.companies` | the companies that were granted to the reader |\n"
    for table in (table for stream in STREAMS for table in stream.tables):
        yield f"| `billingo_masked.{table.name}` | {_masked(table)} |\n"


def _masked(table: NormalizedTable) -> str:
    names = [f"`{column.name}`" for column in table.columns if column.personal and not column.masked]
    short = [f"of `{column.name}` the first letter" for column in table.columns if column.masked]
    what = f"`{table.name}`" + (f" without {', '.join(names)}" if names else "")
    return "; ".join([what, *short])


def _table(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n\n{table.comment}.\n"
    yield "| column | type | |\n|---|---|---|"
    yield from (_column(column) for column in table.columns)
    yield ""


def _column(column: Column[object]) -> str:
    kind = column.type.compile(dialect=_DIALECT).lower().replace("timestamp with time zone", "timestamptz")
    key = ", key" if column.primary_key else "" if column.nullable else ", not null"
    text = (column.comment or "").replace("|", "\\|")
    return f"| `{column.name}` | {kind}{key} | {text} |"


def main() -> None:
    """Write the page, or say that it is out of date."""
    text = describe()
    if "--check" in sys.argv[1:]:
        sys.exit("docs/tables.md is out of date: python -m tools.describe_tables" if PAGE.read_text() != text else 0)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
