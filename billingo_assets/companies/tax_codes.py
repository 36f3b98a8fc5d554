"""Compares tax codes by the part that a taxpayer keeps for life.

A Hungarian tax number has eight digits for the taxpayer, one for the VAT status, two for the county. The last three may
change. The number is written with hyphens, without, or as an EU VAT number (`HU` and the eight digits).
"""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[\s./\-\u2010-\u2015]+")
_HUNGARIAN = re.compile(r"(?:HU)?([0-9]{8})([1-5][0-9]{2})?", re.ASCII)


def taxpayer(tax_code: str) -> str:
    """The taxpayer in a tax code, in any spelling: the eight digits of a Hungarian one, or all of another one."""
    code = _compact(tax_code)
    hungarian = _HUNGARIAN.fullmatch(code)
    return hungarian[1] if hungarian else code


def says_more(found: str, stored: str) -> bool:
    """Whether a tax code of the same taxpayer has digits that differ from the stored one or are missing in it."""
    return not _digits(stored).startswith(_digits(found))


def _compact(tax_code: str) -> str:
    return _SEPARATORS.sub("", tax_code).upper()


def _digits(tax_code: str) -> str:
    code = _compact(tax_code)
    return code.removeprefix("HU") if _HUNGARIAN.fullmatch(code) else code
