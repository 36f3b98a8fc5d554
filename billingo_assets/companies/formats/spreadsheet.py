"""Decides whether a cell of a spreadsheet can hold a value, and whether a spreadsheet would convert a text."""

from __future__ import annotations

import re
from datetime import date
from decimal import Context, Decimal

MAX_ROWS = 1_048_576
MAX_TEXT_UNITS = 32_767
"""The longest text of a cell, in units of UTF-16, as Excel counts."""
MAX_DIGITS = 15
"""Significant digits of a cell's number; further ones are lost."""
MAX_MAGNITUDE = 300
"""The largest power of ten, a little below the range of a binary float in either direction."""
LAST_YEAR = 9999
FIRST_DATE = date(1900, 3, 1)
"""Excel wrongly treats 1900 as a leap year, so spreadsheets disagree about earlier dates."""

_EXACT = Context(prec=2_000)

_MONTHS = (
    "jan(?:uár|uary)?|febr?(?:uár|uary)?|márc?(?:ius)?|mar(?:ch)?|ápr(?:ilis)?|apr(?:il)?|máj(?:us)?|may|jún(?:ius)?|june?"
    "|júl(?:ius)?|july?|aug(?:usztus|ust)?|szept?(?:ember)?|sept?(?:ember)?|okt(?:óber)?|oct(?:ober)?|nov(?:ember)?"
    "|dec(?:ember)?"
)
_DAYS = (
    "h(?:étfő)?|k(?:edd)?|sze(?:rda)?|cs(?:üt(?:örtök)?)?|p(?:éntek)?|szo(?:mbat)?|v(?:asárnap)?"
    "|mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs(?:day)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
)
_UNITS = "ft|huf|eur|usd|gbp|chf|e|t|z|de|du|am|pm|a"
_WORD = re.compile(r"[^\W\d_]+")
_OF_A_NUMBER = re.compile(f"{_MONTHS}|{_DAYS}|{_UNITS}", re.IGNORECASE)
"""Words that a number, a date or a time may contain, in Hungarian and in English, which any Excel may be set to."""
_OF_ITSELF = re.compile(r"\s*(?:true|false|igaz|hamis|#\S*)\s*", re.IGNORECASE)
"""Booleans and errors such as #N/A."""


def fits_number(number: Decimal | int) -> bool:
    """Whether a cell holds the number exactly."""
    shortest = Decimal(number).normalize(_EXACT)
    if not shortest.is_finite():
        return False
    return len(shortest.as_tuple().digits) <= MAX_DIGITS and abs(shortest.adjusted()) <= MAX_MAGNITUDE


def fits_text(text: str) -> bool:
    """Whether a cell holds all of the text."""
    return len(text) * 2 <= MAX_TEXT_UNITS or len(text.encode("utf-16-le")) // 2 <= MAX_TEXT_UNITS


def cut(text: str) -> str:
    """Cut a text that does not fit, and append its full length."""
    end = f" … (cut: {len(text):,} characters in all)"
    units = text.encode("utf-16-le")[: 2 * (MAX_TEXT_UNITS - len(end))]
    return units.decode("utf-16-le", errors="ignore") + end


def is_taken_for_a_value(text: str) -> bool:
    """Whether a Hungarian spreadsheet may convert a text to a number, date, time, boolean or error on opening."""
    if any(map(_is_foreign, _WORD.finditer(text))) or not any(map(str.isnumeric, text)):
        return _OF_ITSELF.fullmatch(text) is not None
    # For example a tax number: numbers contain no hyphen, and dates no part this large.
    is_code = re.search(r"\d-\d", text) and any(int(part) > LAST_YEAR for part in re.findall(r"\d+", text))
    return not is_code


def _is_foreign(word: re.Match[str]) -> bool:
    """Whether the word occurs in no number, date or time."""
    return not _OF_A_NUMBER.fullmatch(word[0]) and any(map(str.isalpha, word[0]))
