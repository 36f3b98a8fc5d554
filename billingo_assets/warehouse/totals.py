"""Finds invoices with totals that do not add up, by the rule of `normalize.reconciling`. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text

from billingo_assets.normalize.reconciling import Gaps, Totals, gaps_of
from billingo_assets.warehouse.acceptances import UNRECONCILED
from billingo_assets.warehouse.planning import plan_for_many_rows
from billingo_assets.warehouse.reconciliation import WORST, Reconciliation

BATCH_INVOICES = 1_000
MOST_CHARACTERS = 40
"""The longest amount that is shown in full; a longer one is rounded."""

_TOTALS = """
    SELECT id, gross_total, net_total, vat_total, currency, payment_method, rounding, discount_type, discount_value,
           coalesce(lines.number, 0), lines.gross, unreadable
    FROM billingo.invoices LEFT JOIN {lines} AS lines ON lines.invoice_id = id
    WHERE company_id = :company AND deleted_at IS NULL
"""

_ACCEPTED = f"""
    EXISTS (SELECT FROM billingo.accepted_faults AS accepted
            WHERE accepted.company_id = :company AND check_name = '{UNRECONCILED}'
              AND accepted.content_hash = invoices.content_hash)
"""

_LINES = """
    SELECT invoice_id, count(*) AS number,
           CASE WHEN bool_and(gross_amount IS NOT NULL) THEN sum(gross_amount) END AS gross
    FROM billingo.invoice_items WHERE company_id = :company {of} GROUP BY invoice_id
"""

# Most totals agree to the last digit and need no rule.
_UNEQUAL = text(
    f"""
    {_TOTALS.format(lines=f"({_LINES.format(of='')})")}
      AND (gross_total <> net_total + vat_total OR gross_total <> lines.gross) AND NOT {_ACCEPTED}
    """
)

_NOTED = text(
    f"""
    {_TOTALS.format(lines=f"LATERAL ({_LINES.format(of='AND invoice_id = id')})")}
      AND unreconciled_by IS NOT NULL AND NOT {_ACCEPTED} ORDER BY unreconciled_by DESC, id LIMIT :worst
    """
)

_COUNT = text(
    f"""
    SELECT (SELECT count(*) FROM billingo.invoices WHERE company_id = :company AND deleted_at IS NULL) AS documents,
           (SELECT count(*) FROM billingo.invoices
            WHERE company_id = :company AND deleted_at IS NULL AND NOT totals_judged) AS unjudged,
           (SELECT count(*) FROM billingo.invoices
            WHERE company_id = :company AND deleted_at IS NULL AND unreconciled_by IS NOT NULL
              AND NOT {_ACCEPTED}) AS unreconciled,
           (SELECT count(*) FROM billingo.invoices
            WHERE company_id = :company AND deleted_at IS NULL AND unreconciled_by IS NOT NULL
              AND {_ACCEPTED}) AS accepted
    """  # noqa: S608 - our own text
)


def reconciled_totals(connection: Connection, company_id: int) -> Reconciliation:
    """Compare the gross of live invoices with net + VAT and with the sum of their lines, within rounding.

    Everything is added up from the tables.
    """
    plan_for_many_rows(connection)
    counts = connection.execute(_COUNT, {"company": company_id}).one()
    off = 0
    worst: list[_Fault] = []
    options = {"yield_per": BATCH_INVOICES}
    rows = connection.execute(_UNEQUAL, {"company": company_id}, execution_options=options)
    for batch in rows.partitions():
        faults = [fault for fault in map(_fault, batch) if fault.by > 0]
        off += len(faults)
        worst = sorted([*worst, *faults], key=lambda fault: (-fault.by, fault.document_id))[:WORST]
    return _answer(counts, off, worst)


def totals_as_normalized(connection: Connection, company_id: int) -> Reconciliation:
    """Return the result of `reconciled_totals` from the gaps that normalization noted, at the cost of a count.

    It is right as long as only normalization has written the tables.
    """
    values = {"company": company_id, "worst": WORST}
    counts = connection.execute(_COUNT, values).one()
    return _answer(counts, counts.unreconciled, [_fault(row) for row in connection.execute(_NOTED, values)])


class _Fault(NamedTuple):
    document_id: int
    currency: str | None
    gaps: Gaps
    by: Decimal


def _fault(row: Sequence[Any]) -> _Fault:
    document_id, *amounts = row
    totals = Totals(*amounts)
    gaps = gaps_of(totals)
    return _Fault(document_id, totals.currency, gaps, gaps.unreconciled_by or Decimal(0))


def _answer(counts: Row[Any], off: int, worst: Sequence[_Fault]) -> Reconciliation:
    at_fault = tuple(
        {
            "document": str(fault.document_id),
            "gross - (net + VAT)": _shown(fault.gaps.header, fault.currency),
            "gross - lines": _shown(fault.gaps.lines, fault.currency),
        }
        for fault in worst
    )
    expected = counts.documents - counts.unjudged - counts.accepted
    return Reconciliation(expected, expected - off, at_fault, counts.unjudged, counts.accepted)


def _shown(amount: Decimal | None, currency: str | None) -> str:
    if amount is None:
        return "unknown"
    digits = f"{amount:f}"
    shown = digits if len(digits) <= MOST_CHARACTERS else f"{amount:.12g}"
    return f"{shown} {currency or ''}".strip()
