"""Whether the totals of a document agree with each other and with its lines, as far as rounding allows.

A finding is no reason to reject: the document is what Billingo sent. What is done with it is the checks' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

SMALLEST_UNIT = {"HUF": Decimal(1)}
CENT = Decimal("0.01")
CASH_ROUNDING = Decimal("2.5")
"""Cash in forints is paid in fives."""


def unreconciled_by(
    *,
    gross: Decimal | int | None,
    net: Decimal | int | None,
    vat: Decimal | int | None,
    lines: Sequence[Decimal | int | None],
    currency: str | None,
    payment_method: str | None,
) -> Decimal | None:
    """The larger of gross - (net + VAT) and gross - the sum of the lines, where rounding does not explain it.

    Rounding allows one smallest unit of the currency for the header and for each line, and 2.5 more for cash in HUF.
    None when the totals reconcile, or say too little to tell. `lines` are the lines' gross amounts.
    """
    gap = Decimal(0)
    if gross is not None and net is not None and vat is not None:
        gap = abs(Decimal(gross) - net - vat)
    if gross is not None and lines and None not in lines:
        gap = max(gap, abs(Decimal(gross) - sum(line for line in lines if line is not None)))
    allowed = SMALLEST_UNIT.get(currency or "", CENT) * (1 + len(lines))
    if currency == "HUF" and payment_method == "cash":
        allowed += CASH_ROUNDING
    return gap if gap > allowed else None
