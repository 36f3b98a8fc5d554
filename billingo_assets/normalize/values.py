"""Reads one JSON value, decoded with `Decimal` for fractions, as one kind of column.

A reader returns the Python value, or None for an empty value (null, "" and blank text alike), and raises
`NotUnderstoodError` for anything else. The caller adds the name of the field.
"""

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from billingo_assets.streams.stream import Kind

Value = str | int | Decimal | date | bool | None
Reader = Callable[[Any], Any]

BIGINT = range(-(2**63), 2**63)
# Wider than their source: a JSON number may be a binary double; the largest has 309 digits before the point and the
# smallest 1,074 after it. PostgreSQL's NUMERIC holds many times that.
AMOUNT_DIGITS = 400
AMOUNT_DECIMALS = 1_100
MOST_DIGITS = 2 * (AMOUNT_DIGITS + AMOUNT_DECIMALS)
"""Enough digits for a product of two amounts or any sum of amounts: nothing is rounded on the way."""
_AMOUNT_LIMIT = Decimal(10**AMOUNT_DIGITS)
_SURELY_WITHIN = 30  # characters
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SHOWN_CHARACTERS = 40

PLACEHOLDER = "--"
INTEGER = "a whole number of at most 64 bits"
AMOUNT = f"a number within ±10^{AMOUNT_DIGITS} with at most {AMOUNT_DECIMALS:,} decimals"


class NotUnderstoodError(ValueError):
    """A value that its column cannot hold. The text continues a sentence that begins with the field."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"is {found}, not {expected}")


def is_blank(value: Any) -> bool:
    """Whether the value is empty: null (or a missing field), "" or only white space."""
    return value is None or (type(value) is str and (not value or value.isspace()))


def type_of(value: Any) -> str:
    """Name the JSON type of a value for people, without the value itself."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def shown(value: Any) -> str:
    """Show a number, boolean or text, shortened and in ASCII without control characters; else its type."""
    if isinstance(value, dict | list | None):
        return type_of(value)
    text = str(value)
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return json.dumps(short) if type(value) is str else short.lower()


def read_text(value: Any) -> str | None:
    """Read text unchanged; a number is read as its digits (`123`, `1.50`)."""
    if type(value) is str:
        if not value or value.isspace():
            return None
        if "\0" in value:
            raise NotUnderstoodError("text with a NUL character", "text that PostgreSQL can store")
        return value
    if value is None:
        return None
    if type(value) is int:
        return str(value)
    if type(value) is Decimal and _is_storable(value):
        return format(value, "f")
    raise NotUnderstoodError(type_of(value), "text")


def read_code(value: Any) -> str | None:
    """Read text as `read_text` does, and `--` as None: Billingo writes it for a missing number."""
    text = read_text(value)
    return None if text is None or text.strip() == PLACEHOLDER else text


def read_integer(value: Any) -> int | None:
    """Read a whole number of 64 bits; a text of digits alone counts."""
    if is_blank(value):
        return None
    number = value
    if type(value) is str and len(value) <= len(str(BIGINT.stop)) and value.isascii() and value.isdigit():
        number = int(value)
    if type(number) is int and number in BIGINT:
        return number
    raise NotUnderstoodError(shown(value), INTEGER)


def read_amount(value: Any) -> Decimal | None:
    """Read an exact number, digits kept (`1.50`); a text that is exactly a JSON number counts."""
    if is_blank(value):
        return None
    if type(value) is Decimal:
        number = value
    elif type(value) is int or (type(value) is str and _JSON_NUMBER.fullmatch(value)):
        try:
            number = Decimal(value)
        except InvalidOperation:  # an exponent beyond what Decimal can hold
            raise NotUnderstoodError(shown(value), AMOUNT) from None
    else:
        raise NotUnderstoodError(shown(value), "a number")
    if not _is_storable(number):
        raise NotUnderstoodError(shown(value), AMOUNT)
    return number


def read_date(value: Any) -> date | None:
    """Read a date of the form YYYY-MM-DD, years 0001 to 9999."""
    if is_blank(value):
        return None
    if type(value) is str:
        try:
            day = date.fromisoformat(value)
        except ValueError:
            pass
        else:
            if day.isoformat() == value:  # fromisoformat also takes 20260131 and 2026-W05-6
                return day
    raise NotUnderstoodError(shown(value), "a date like 2026-01-31")


def read_boolean(value: Any) -> bool | None:
    """Read true or false."""
    if type(value) is bool:
        return value
    if is_blank(value):
        return None
    raise NotUnderstoodError(shown(value), "true or false")


def read_object(value: Any) -> dict[str, Any]:
    """Read an object; a missing value and `[]`, PHP's empty array, are an empty one."""
    if type(value) is dict:
        return value
    if value == [] or is_blank(value):
        return {}
    raise NotUnderstoodError(type_of(value), "an object")


def read_list(value: Any) -> list[Any]:
    """Read a list; a missing value is an empty one."""
    if type(value) is list:
        return value
    if is_blank(value):
        return []
    raise NotUnderstoodError(type_of(value), "a list")


def required(read: Reader, expected: str) -> Reader:
    """Make a reader refuse a missing value."""

    def read_required(value: Any) -> Any:
        if is_blank(value):
            raise NotUnderstoodError("missing", expected)
        return read(value)

    return read_required


READERS: dict[Kind, Reader] = {
    "text": read_text,
    "integer": read_integer,
    "amount": read_amount,
    "date": read_date,
    "boolean": read_boolean,
}


def _is_storable(number: Decimal) -> bool:
    """Whether an amount is finite and within the bounds, compared exactly in any decimal context."""
    digits = str(number)
    if len(digits) <= _SURELY_WITHIN and "E" not in digits and digits[-1].isdigit():
        return True  # as nearly all are: too short to be out of bounds
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -AMOUNT_DECIMALS and number.copy_abs() <= _AMOUNT_LIMIT
