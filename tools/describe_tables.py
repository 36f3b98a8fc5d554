"""Writes docs/tables.md from the tables' metadata: `python -m tools.describe_tables`; `--check` only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from billingo_assets.warehouse.tables import metadata

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"

CHAPTERS = {
    "Documents": (
        "invoices",
        "invoice_items",
        "related_documents",
        "raw_invoices",
        "raw_invoice_versions",
        "companies",
    ),
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

RELATIONS = (
    ("companies", "||--o{", "raw_invoices", "id = company_id"),
    ("raw_invoices", "||--o{", "raw_invoice_versions", "company_id, document_id"),
    ("raw_invoices", "||--o|", "invoices", "company_id, document_id = id"),
    ("invoices", "||--o{", "invoice_items", "company_id, id = invoice_id"),
    ("invoices", "||--o{", "related_documents", "company_id, id = invoice_id"),
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
| `billingo.raw_invoice_history` | every content that a document has had; `valid_to` is `NULL` while it has it |
| `billingo_masked.companies` | the companies that were granted to the reader |
| `billingo_masked.invoices` | `invoices` without personal data; of a partner's name, the first letter |
| `billingo_masked.invoice_items` | `invoice_items` without names, units and codes |
| `billingo_masked.related_documents` | `related_documents` of the companies that were granted |

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
    yield VIEWS.rstrip("\n")
    yield ""


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
