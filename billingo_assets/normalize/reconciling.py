"""Judges whether the totals of a document agree with each other and with its lines, within rounding.

A finding does not reject the document, which is stored as Billingo sent it. Checks report findings.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import NamedTuple

from billingo_assets.normalize.values import MOST_DIGITS

WHOLE_UNITS = frozenset({"HUF", "ISK", "JPY", "KRW"})
"""Currencies with a smallest unit of 1, not 0.01."""
CENT = Decimal("0.01")
CASH_ROUNDING = Decimal("2.5")
"""Cash amounts in forints are rounded to fives."""
ROUNDINGS = {"one": Decimal("0.5"), "five": Decimal("2.5"), "ten": Decimal(5)}
"""The rounding step of a document for each value of `settings.round`."""

ROUNDING = frozenset({"rounding", "payment_method"})
DISCOUNT = frozenset({"discount_type", "discount_value"})
"""The columns that state the rounding and the discount of a document."""
_NOTHING: frozenset[str] = frozenset()


class Totals(NamedTuple):
    """The amounts of a document; None for a missing one.

    `unreadable` names the columns with values that cannot be read, as the column `unreadable` does. `lines_gross` is
    the sum of its `lines` lines; None if it has no line, or a line has no amount.
    """

    gross: Decimal | int | None
    net: Decimal | int | None
    vat: Decimal | int | None
    currency: str | None
    payment_method: str | None
    rounding: str | None
    discount_type: str | None
    discount_value: Decimal | int | None
    lines: int
    lines_gross: Decimal | int | None
    unreadable: str | None = None


class Gaps(NamedTuple):
    """Absolute values of gross - (net + VAT) and of gross - the sum of the lines; None if unknown.

    Rounding explains gaps up to `allowed`, and might explain gaps up to `conceivable` if its rule cannot be read.
    `are_known`: no gap is unknown because of a missing amount or an unknown discount.
    """

    header: Decimal | None
    lines: Decimal | None
    allowed: Decimal
    conceivable: Decimal
    are_known: bool

    @property
    def largest(self) -> Decimal:
        """The larger gap."""
        return max(self.header or Decimal(0), self.lines or Decimal(0))

    @property
    def unreconciled_by(self) -> Decimal | None:
        """The larger gap if rounding cannot explain it; None if it may, or if too little is known."""
        return self.largest if self.largest > self.conceivable else None

    @property
    def are_judged(self) -> bool:
        """Whether the totals are known to agree or known to disagree."""
        return self.unreconciled_by is not None or (self.are_known and self.largest <= self.allowed)


def gaps_of(totals: Totals) -> Gaps:
    """Measure how far the totals of a document are apart, and how far rounding may put them apart.

    Rounding allows one smallest unit of the currency for the header and for each line, plus half a rounding step of
    the document, or of fives for cash in HUF. It is unknown whether Billingo's lines are before or after the discount:
    totals that agree with either agree.
    """
    with localcontext(prec=MOST_DIGITS):
        return exact_gaps_of(totals)


def exact_gaps_of(totals: Totals) -> Gaps:
    """Do as `gaps_of` in a decimal context of MOST_DIGITS set by the caller: setting one would double the time."""
    unreadable = set(totals.unreadable.split(", ")) if totals.unreadable else _NOTHING
    header = lines = None
    gross = None if totals.gross is None else Decimal(totals.gross)
    if gross is not None and totals.net is not None and totals.vat is not None:
        header = abs(gross - totals.net - totals.vat)
    sums = [] if unreadable & DISCOUNT else _sums_of_lines(totals)
    if gross is not None and sums:
        lines = min(abs(gross - one) for one in sums)
    allowed = conceivable = _allowed(totals)
    if unreadable & ROUNDING:
        conceivable += max(ROUNDINGS.values())
    are_known = header is not None and (lines is not None or not totals.lines)
    return Gaps(header, lines, allowed, conceivable, are_known)


def agree_exactly(totals: Totals) -> bool:
    """Whether gross equals net + VAT and the sum of the lines to the last digit, as in most documents."""
    gross, net, vat = totals.gross, totals.net, totals.vat
    if gross is None or net is None or vat is None or totals.unreadable:
        return False
    if totals.discount_value and totals.discount_type != "percent":
        return False
    return gross == net + vat and (gross == totals.lines_gross if totals.lines else True)


def _sums_of_lines(totals: Totals) -> list[Decimal]:
    """The possible sums of the lines: as they are, and less the discount. Empty if the discount is unknown."""
    if totals.lines_gross is None:
        return []
    as_they_are = Decimal(totals.lines_gross)
    if not totals.discount_value:
        return [as_they_are]
    if totals.discount_type != "percent":
        return []
    return [as_they_are, as_they_are * (100 - totals.discount_value) / 100]


def _allowed(totals: Totals) -> Decimal:
    unit = Decimal(1) if totals.currency in WHOLE_UNITS else CENT
    is_cash_in_huf = totals.currency == "HUF" and totals.payment_method == "cash"
    rounding = max(ROUNDINGS.get(totals.rounding or "", Decimal(0)), CASH_ROUNDING if is_cash_in_huf else Decimal(0))
    return unit * (1 + totals.lines) + rounding
