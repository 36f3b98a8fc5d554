"""Compares tax codes by what a taxpayer keeps for life.

A Hungarian tax number has eight digits of the taxpayer, one of the VAT status, two of the county. The last three change
in ordinary life, and the number is written with hyphens, without, or as an EU VAT number (`HU` and the eight digits).
"""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[\s./\-\u2010-\u2015]+")
_HUNGARIAN = re.compile(r"(?:HU)?([0-9]{8})([1-5][0-9]{2})?", re.ASCII)


def taxpayer(tax_code: str) -> str:
    """Whom a tax code means: the eight digits of a Hungarian one, of another all of it, however it is written."""
    code = _compact(tax_code)
    hungarian = _HUNGARIAN.fullmatch(code)
    return hungarian[1] if hungarian else code


def says_more(found: str, stored: str) -> bool:
    """Whether a tax code of the same taxpayer has other digits than the stored one, or digits that one lacks."""
    return not _digits(stored).startswith(_digits(found))


def _compact(tax_code: str) -> str:
    return _SEPARATORS.sub("", tax_code).upper()


def _digits(tax_code: str) -> str:
    code = _compact(tax_code)
    return code.removeprefix("HU") if _HUNGARIAN.fullmatch(code) else code
