from collections.abc import Callable
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

import pytest

from billingo_assets.normalize.values import (
    READERS,
    NotUnderstoodError,
    read_amount,
    read_boolean,
    read_date,
    read_integer,
    read_list,
    read_object,
    read_text,
    required,
)
from billingo_assets.streams.stream import Kind


def refusal(read: Callable[[Any], Any], value: Any) -> str:
    with pytest.raises(NotUnderstoodError) as refused:
        read(value)
    return str(refused.value)


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n", "\u00a0"])
@pytest.mark.parametrize("kind", READERS)
def test_null_empty_and_blank_text_are_none_in_every_kind(kind: Kind, blank: str | None) -> None:
    assert READERS[kind](blank) is None


@pytest.mark.parametrize("text", ["Árvíztűrő tükörfúrógép", " padded ", "nan", "NULL", "[]", "😀"])
def test_text_is_kept_as_it_stands(text: str) -> None:
    assert read_text(text) == text


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        (123, "123"),
        (10**40, "1" + "0" * 40),
        (Decimal("1.50"), "1.50"),
        (Decimal("0.00000001"), "0.00000001"),
        (Decimal("1E+5"), "100000"),
    ],
)
def test_a_number_in_a_text_field_is_its_digits(number: int | Decimal, digits: str) -> None:
    assert read_text(number) == digits


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"name": "Kovács"}, "an object"),
        (["Kovács"], "a list"),
        (True, "a boolean"),
        (Decimal("1E+999999"), "a number"),
    ],
)
def test_a_refused_text_is_named_by_its_type_alone(value: Any, found: str) -> None:
    assert refusal(read_text, value) == f"is {found}, not text"


def test_text_with_a_nul_character_is_refused_without_showing_it() -> None:
    reason = refusal(read_text, "Kovács\0János")
    assert reason == "is text with a NUL character, not text that PostgreSQL can store"


@pytest.mark.parametrize(
    ("value", "integer"),
    [(0, 0), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), ("123", 123), (str(2**63 - 1), 2**63 - 1)],
)
def test_a_whole_number_is_read_from_a_number_or_digits(value: Any, integer: int) -> None:
    assert read_integer(value) == integer


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        (str(2**63), '"9223372036854775808"'),
        ("9" * 5000, '"' + "9" * 40 + '..."'),
        (Decimal("1.0"), "1.0"),
        ("1.0", '"1.0"'),
        ("٣", '"\\u0663"'),
        ("²", '"\\u00b2"'),
        (True, "true"),
        ({}, "an object"),
    ],
)
def test_what_is_no_whole_number_of_64_bits_is_refused(value: Any, found: str) -> None:
    assert refusal(read_integer, value) == f"is {found}, not a whole number of at most 64 bits"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (Decimal("1.0"), "1.0"),
        ("123.45", "123.45"),
        ("-0.10", "-0.10"),
        ("1e2", "1E+2"),
        (2**64, "18446744073709551616"),
        (0, "0"),
        ("-0", "-0"),
        (Decimal("-0.0"), "-0.0"),
        (Decimal("5.551115123125783e-17"), "5.551115123125783E-17"),
        (Decimal("4e-324"), "4E-324"),
        (Decimal("1.7976931348623157e308"), "1.7976931348623157E+308"),
        (10**400, "1" + "0" * 400),
        (Decimal("-1E+400"), "-1E+400"),
        (Decimal("0." + "1" * 1_100), "0." + "1" * 1_100),
        (Decimal("1" * 400 + "." + "1" * 1_100), "1" * 400 + "." + "1" * 1_100),
    ],
)
def test_an_amount_is_a_decimal_with_the_digits_it_was_sent_with(value: Any, text: str) -> None:
    amount = read_amount(value)
    assert type(amount) is Decimal
    assert str(amount) == text


@pytest.mark.parametrize(
    "value",
    [
        10**400 + 1,
        Decimal("1E+401"),
        Decimal("1" + "0" * 400 + ".000000000000000000000000000001"),
        Decimal("-1E+999999999"),
        Decimal("1E-1101"),
        Decimal("1E-999999"),
        Decimal("NaN"),
        Decimal("Infinity"),
        "1e99999999999999999999",
        "9" * 5000,
    ],
)
def test_an_amount_beyond_the_bounds_is_refused(value: Any) -> None:
    assert refusal(read_amount, value).endswith(", not a number within ±10^400 with at most 1,100 decimals")


def test_the_bounds_of_amounts_do_not_depend_on_the_decimal_context() -> None:
    just_over = Decimal("1" + "0" * 400 + ".1")
    with localcontext(prec=3):
        assert str(read_amount("123456.789")) == "123456.789"
        refusal(read_amount, just_over)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("abc", '"abc"'),
        ("12,5", '"12,5"'),
        ("1 000", '"1 000"'),
        (" 1", '" 1"'),
        ("1\n", '"1\\n"'),
        ("+1", '"+1"'),
        ("01", '"01"'),
        (".5", '".5"'),
        ("1_000", '"1_000"'),
        ("NaN", '"NaN"'),
        ("٣", '"\\u0663"'),
        ("\0", '"\\u0000"'),
        ("x" * 500, '"' + "x" * 40 + '..."'),
        (False, "false"),
        ([1], "a list"),
    ],
)
def test_what_is_no_number_is_refused_as_an_amount(value: Any, found: str) -> None:
    assert refusal(read_amount, value) == f"is {found}, not a number"


@pytest.mark.parametrize("text", ["0001-01-01", "2024-02-29", "9999-12-31"])
def test_a_date_is_a_date_of_python(text: str) -> None:
    day = read_date(text)
    assert type(day) is date
    assert day.isoformat() == text


@pytest.mark.parametrize(
    "text",
    ["2026-13-01", "2026-02-29", "0000-00-00", "20260131", "2026-W05-6", "2026-1-31", "2026-01-31 00:00:00"],
)
def test_a_date_of_another_form_or_not_in_the_calendar_is_refused(text: str) -> None:
    assert refusal(read_date, text) == f'is "{text}", not a date like 2026-01-31'


def test_a_number_is_no_date() -> None:
    assert refusal(read_date, 20260131) == "is 20260131, not a date like 2026-01-31"


def test_true_and_false_are_read_and_nothing_else_is_a_boolean() -> None:
    assert read_boolean(True) is True
    assert read_boolean(False) is False
    assert refusal(read_boolean, 1) == "is 1, not true or false"
    assert refusal(read_boolean, "true") == 'is "true", not true or false'


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_nothing_and_the_empty_array_of_php_are_an_empty_object(nothing: Any) -> None:
    assert read_object(nothing) == {}


def test_what_is_no_object_or_list_is_refused_without_showing_it() -> None:
    assert refusal(read_object, "Kovács") == "is text, not an object"
    assert refusal(read_object, [1]) == "is a list, not an object"
    assert refusal(read_list, "Kovács") == "is text, not a list"
    assert refusal(read_list, {}) == "is an object, not a list"


def test_a_required_value_is_refused_when_missing() -> None:
    assert refusal(required(read_integer, "a whole number"), " ") == "is missing, not a whole number"
    assert required(read_integer, "a whole number")(0) == 0
