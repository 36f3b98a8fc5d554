"""The truth to compare a synced database with: counts and exact sums over a company's live documents."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, localcontext

import msgspec

from billingo_assets.sandbox.record import Record


class CurrencyTotals(msgspec.Struct):
    """Sums over the documents of one currency: `gross_total`, `summary.net_amount`, `summary.vat_amount`."""

    documents: int = 0
    gross: Decimal = Decimal(0)
    net: Decimal = Decimal(0)
    vat: Decimal = Decimal(0)


class Ledger(msgspec.Struct):
    """What a company holds now. In JSON the sums are strings.

    `documents` is what the API reports as `total`, unless a quirk hides some. `uncounted` of them were added as
    broken on purpose; they are in none of the other figures. `links` lead from a document to one that it relates to.
    """

    documents: int
    uncounted: int
    items: int
    links: int
    cancelled: int
    by_type: dict[str, int]
    by_payment_status: dict[str, int]
    currencies: dict[str, CurrencyTotals]


_MOST_DIGITS = 2_000  # of a sum of any doubles, float noise too


def ledger_of(records: Iterable[Record]) -> Ledger:
    """Count and sum; cost in proportion to the records, nothing is remembered between calls."""
    with localcontext(prec=_MOST_DIGITS):
        return _ledger_of(records)


def _ledger_of(records: Iterable[Record]) -> Ledger:
    by_type: Counter[str] = Counter()
    by_payment_status: Counter[str] = Counter()
    currencies: dict[str, CurrencyTotals] = {}
    ledger = Ledger(
        documents=0,
        uncounted=0,
        items=0,
        links=0,
        cancelled=0,
        by_type={},
        by_payment_status={},
        currencies=currencies,
    )
    for record in records:
        ledger.documents += 1
        if not record.counted:
            ledger.uncounted += 1
            continue
        facts = record.facts
        by_type[facts.type] += 1
        by_payment_status[facts.payment_status] += 1
        ledger.items += facts.item_count
        ledger.links += facts.link_count
        ledger.cancelled += facts.is_cancelled
        totals = currencies.get(facts.currency)
        if totals is None:
            totals = currencies[facts.currency] = CurrencyTotals()
        totals.documents += 1
        totals.gross += facts.gross
        totals.net += facts.net
        totals.vat += facts.vat
    ledger.by_type = dict(sorted(by_type.items()))
    ledger.by_payment_status = dict(sorted(by_payment_status.items()))
    return ledger
