"""Reads the invoice number of a document: its series, and its place in the series.

Billingo prints numbers as their block is set up: with or without a prefix, padded or not, the year before the number,
after it, in two digits, or nowhere. The document's date decides which digits are the year. A number that can be read in
two ways is not judged; nothing is guessed. Another module finds missing numbers (`warehouse.number_gaps`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

NUMBER_RULES = 2
"""Raise it with every change of how numbers are read: the numbers of stored documents are then read again."""

NUMBER_FIELDS = frozenset({"block_id", "invoice_number", "invoice_date", "type"})
"""The fields of a document that its number is read from."""

TYPES_WITH_GAPS = frozenset(
    {
        "cert_of_completion",
        "d_cert_of_completion",
        "dossier",
        "draft",
        "draft_offer",
        "draft_order_form",
        "draft_waybill",
        "offer",
        "order_form",
        "proforma",
        "waybill",
    }
)
"""Types with numbers that may have gaps. Hungarian law forbids gaps for invoices, receipts and their corrections. A
type that is added later is assumed to be gapless."""

MAX_ID = 2**63 - 1
MAX_NUMBER_CHARACTERS = 100
MAX_DIGITS = 18

_DIGITS = "0123456789"
_SEPARATORS = " \u00a0/._\\–—-"
_ENDS = "/."
"""Separators that may follow the digits of a number, as in `17/`."""
_JOINTS = re.compile(rf"[{re.escape(_SEPARATORS)}]+|(?<=[0-9])(?=[^\W\d_])|(?<=[^\W\d_])(?=[0-9])")
_YEARS = range(1990, 2100)


class InvoiceNumber(NamedTuple):
    """A number as it was read. `series` is the prefix and year that it shares with its neighbours.

    `year` is the year in the number, or else in the document's date; None if neither has one. `is_certain` is false if
    the number can be read in another way too.
    """

    series: str
    year: int | None
    number: int
    is_certain: bool = True


class Numbering(NamedTuple):
    """The number of a document, in the columns in which it is stored.

    `number_judged` is None for a document without a number, and false if its number is uncertain. `gapless` says
    whether the numbers of its type have to run without gaps.
    """

    block_id: int | None = None
    number_series: str | None = None
    number_year: int | None = None
    number: int | None = None
    number_judged: bool | None = None
    gapless: bool = True


UNNUMBERED = Numbering()


class YearOfNumbers(NamedTuple):
    """The lowest and highest number of a series in one year, and the earlier years that share a number with it."""

    year: int
    lowest: int
    highest: int
    shared_with: frozenset[int] = frozenset()


class Run(NamedTuple):
    """The run of a series that a year belongs to. Not `is_judged`: it is unknown whether its numbers began again."""

    year: int
    run: int
    is_judged: bool = True


def runs_of(years: Sequence[YearOfNumbers]) -> list[Run]:
    """Divide a series, its years in order, into runs: numbers that continue from one year to the next.

    A block without a year in its numbers may begin again each year. It did if two documents of different years have
    the same number, or if a year begins with 1 and ends below the year before it. A year with only higher numbers
    continues the run. Any other year, with numbers between those of earlier years, may be either and is not judged.
    """
    runs: list[Run] = []
    first, low, high = 0, 0, -1
    for place, one in enumerate(years):
        run = runs[-1].run if runs else 0
        is_judged = True
        if one.lowest <= high:
            if one.shared_with & {former.year for former in runs[first:]} or (one.lowest == 1 and one.highest < low):
                run, first, low, high = run + 1, place, one.lowest, -1
            else:
                is_judged = False
                runs[first:] = [former._replace(is_judged=False) for former in runs[first:]]
        runs.append(Run(one.year, run, is_judged))
        low, high = min(low, one.lowest) if place > first else one.lowest, max(high, one.highest)
    return runs


def numbering_of(document: Mapping[str, object]) -> Numbering:
    """Read the number of a document, or of the readable rest of one."""
    block_id, printed, type_ = document.get("block_id"), document.get("invoice_number"), document.get("type")
    block = block_id if type(block_id) is int and 0 <= block_id <= MAX_ID else None
    gapless = not (isinstance(type_, str) and type_ in TYPES_WITH_GAPS)
    if printed is None or (isinstance(printed, str) and not printed.strip()):
        return Numbering(block, gapless=gapless)
    read = read_number(printed, _year_of(document.get("invoice_date"))) if isinstance(printed, str) else None
    if read is None:
        return Numbering(block, number_judged=False, gapless=gapless)
    is_judged = read.is_certain and block is not None and read.year is not None
    return Numbering(block, read.series, read.year, read.number, is_judged, gapless)


def read_number(printed: str, issued_in: int | None) -> InvoiceNumber | None:
    """Read a number as printed on a document of the year `issued_in`. None if its form is unknown."""
    bare = printed.strip().rstrip(_ENDS)
    prefix, last = _split(bare)
    if bare != printed.strip() and _is_year(last):  # the number that belongs to the year is missing
        return None
    if not last or len(last) > MAX_DIGITS or len(printed) > MAX_NUMBER_CHARACTERS:
        return None
    before = prefix.rstrip(_SEPARATORS)
    head, former = _split(before) if len(before) < len(prefix) else (before, "")
    if not head.replace("\u00a0", " ").isprintable():
        return None
    if not former:
        is_certain = not _may_begin_with_a_year(last, issued_in)
        return InvoiceNumber(_series(prefix, ""), issued_in, int(last), is_certain)
    year, short = ("", "") if issued_in is None else (f"{issued_in:04}", f"{issued_in % 100:02}")
    if former == year or (last != year and former == short):
        return InvoiceNumber(_series(head, former), issued_in, int(last))
    if last == year and len(former) <= MAX_DIGITS:
        return InvoiceNumber(_series(head, last), issued_in, int(former))
    if _is_year(former):
        return InvoiceNumber(_series(head, former), int(former), int(last))
    return InvoiceNumber(_series(prefix, ""), issued_in, int(last), last != short and not _is_year(last))


def _split(text: str) -> tuple[str, str]:
    """Split a text from the digits at its end."""
    head = text.rstrip(_DIGITS)
    return head, text[len(head) :]


@lru_cache(maxsize=1024)
def _series(prefix: str, year: str) -> str:
    """Spell prefix and year uniformly: a block that is set up again within a year continues its numbers."""
    return _JOINTS.sub("-", f"{prefix}-{year}").strip("-").upper()


def _year_of(date: object) -> int | None:
    has_year = isinstance(date, str) and date[4:5] == "-" and date[:4].isascii() and date[:4].isdigit()
    return int(date[:4]) if has_year else None  # type: ignore[index]


def _is_year(digits: str) -> bool:
    return len(digits) == 4 and int(digits) in _YEARS


def _may_begin_with_a_year(digits: str, issued_in: int | None) -> bool:
    """Whether digits can be a year and a number with no separator, as in `2026000001` and `260001`."""
    if issued_in is None:
        return len(digits) > 6 and _is_year(digits[:4])
    year = f"{issued_in:04}"
    return (len(digits) > 5 and digits.startswith(year)) or (len(digits) > 4 and digits.startswith(f"{year[2:]}0"))
