"""When the totals of a document disagree by more than rounding explains."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from billingo_assets.normalize.reconciling import Totals, gaps_of
from billingo_assets_tests.support.documents import as_json, document, item
from billingo_assets_tests.support.frames import normalize


def gap(
    gross: str | None,
    *,
    net: str | None = "100",
    vat: str | None = "27",
    lines: Sequence[Decimal | None] = (),
    currency: str | None = "EUR",
    method: str | None = None,
    rounding: str | None = None,
    discount: tuple[str | None, Decimal | int | None] = (None, None),
) -> Decimal | None:
    total, without_vat, tax = (None if text is None else Decimal(text) for text in (gross, net, vat))
    known = [line for line in lines if line is not None]
    lines_gross = sum(known, Decimal(0)) if len(known) == len(lines) > 0 else None
    totals = Totals(
        total, without_vat, tax, currency, method, rounding, *discount, lines=len(lines), lines_gross=lines_gross
    )
    return gaps_of(totals).unreconciled_by


@pytest.mark.parametrize(
    ("currency", "method", "allowed", "too_much"),
    [
        ("EUR", None, "0.02", "0.03"),
        ("EUR", "cash", "0.02", "0.03"),
        (None, None, "0.02", "0.03"),
        ("HUF", None, "2", "2.01"),
        ("HUF", "cash", "4.5", "4.51"),
        ("JPY", None, "2", "2.01"),
    ],
)
def test_rounding_is_allowed_one_unit_for_the_header_and_each_line_and_cash_in_fives(
    currency: str | None, method: str | None, allowed: str, too_much: str
) -> None:
    for sign in (1, -1):
        facts: dict[str, Any] = {"lines": [Decimal(127)], "currency": currency, "method": method}
        assert gap(str(127 + sign * Decimal(allowed)), **facts) is None
        assert gap(str(127 + sign * Decimal(too_much)), **facts) == Decimal(too_much)


@pytest.mark.parametrize(
    ("rounding", "allowed", "too_much"),
    [
        (None, "2", "2.01"),
        ("none", "2", "2.01"),
        ("one", "2.5", "2.51"),
        ("five", "4.5", "4.51"),
        ("ten", "7", "7.01"),
        ("hundred", "2", "2.01"),
    ],
)
def test_a_document_may_be_rounded_as_it_says_itself(rounding: str | None, allowed: str, too_much: str) -> None:
    for sign in (1, -1):
        facts: dict[str, Any] = {"lines": [Decimal(127)], "currency": "HUF", "rounding": rounding}
        assert gap(str(127 + sign * Decimal(allowed)), **facts) is None
        assert gap(str(127 + sign * Decimal(too_much)), **facts) == Decimal(too_much)


def test_cash_is_rounded_once_not_by_its_document_as_well() -> None:
    facts: dict[str, Any] = {"lines": [Decimal(127)], "currency": "HUF", "method": "cash"}
    assert gap("131.51", rounding="five", **facts) == Decimal("4.51")
    assert gap("134", rounding="ten", **facts) is None


@pytest.mark.parametrize(
    ("discount", "lines", "expected"),
    [
        (("percent", 10), "127", None),
        (("percent", 10), "141.11", None),
        (("percent", 10), "114.3", "12.7"),
        (("percent", Decimal("12.5")), "145.14", None),
        (("percent", 0), "141.11", "14.11"),
        ((None, None), "141.11", "14.11"),
        (("amount", 14), "141.11", None),
        ((None, 10), "141.11", None),
    ],
    ids=["after it", "before it", "neither", "a fraction", "nothing off", "none", "of another type", "of no type"],
)
def test_lines_may_be_before_or_after_the_discount(
    discount: tuple[str | None, Decimal | int | None], lines: str, expected: str | None
) -> None:
    found = gap("127", lines=[Decimal(lines)], discount=discount)
    assert found == (None if expected is None else Decimal(expected))


def test_the_larger_of_the_two_gaps_counts() -> None:
    assert gap("127", net="90", lines=[Decimal(7)]) == Decimal(120)
    assert gap("127", net="0", lines=[Decimal(120)]) == Decimal(100)


@pytest.mark.parametrize(
    "facts",
    [{"gross": None}, {"net": None}, {"vat": None}, {"net": None, "lines": [None]}, {"net": None, "lines": []}],
)
def test_totals_that_say_too_little_are_not_called_wrong(facts: dict[str, Any]) -> None:
    assert gap(**({"gross": "500"} | facts)) is None


def test_one_unknown_line_keeps_the_lines_from_being_summed() -> None:
    assert gap("127", lines=[Decimal(1), None]) is None


def test_a_gap_of_amounts_of_sixty_digits_is_exact() -> None:
    tiny, huge = "0." + "0" * 29 + "1", "9" * 30
    sent = document(
        7,
        currency="EUR",
        gross_total=Decimal(huge),
        summary={"net_amount": Decimal(0), "vat_amount": Decimal(tiny)},
        items=[item(gross_amount=Decimal(huge))],
    )
    (found,) = normalize([(7, as_json(sent))]).invoices["unreconciled_by"]
    assert found == Decimal(f"{'9' * 29}8.{'9' * 30}")


def judged(**changes: Any) -> tuple[Decimal | None, bool]:
    """What is noted of a document of 127 whose line agrees with it, but for these changes."""
    amounts = {"net_amount": 100, "vat_amount": 27}
    sent = document(7, currency="HUF", gross_total=127, summary=amounts, items=[item(gross_amount=127)]) | changes
    (row,) = normalize([(7, as_json(sent))]).invoices.to_dict("records")
    return row["unreconciled_by"], row["totals_judged"]


@pytest.mark.parametrize(
    ("changes", "by", "is_judged"),
    [
        ({}, None, True),
        ({"items": []}, None, True),
        ({"gross_total": 200}, Decimal(73), True),
        ({"summary": None}, None, False),
        ({"items": [item(gross_amount=None)]}, None, False),
        ({"discount": "10%", "items": [item(gross_amount=141)]}, None, False),
        ({"discount": {"type": "percent", "value": ["x"]}, "items": [item(gross_amount=141)]}, None, False),
        ({"discount": {"type": "amount", "value": 14}, "items": [item(gross_amount=141)]}, None, False),
        ({"discount": "10%", "gross_total": 200}, Decimal(73), True),
        ({"settings": "round", "gross_total": 134}, None, False),
        ({"settings": "round", "gross_total": 134, "items": [item(gross_amount=134)]}, None, False),
        ({"settings": "round"}, None, True),
        ({"settings": "round", "gross_total": 200}, Decimal(73), True),
        ({"payment_method": ["cash"], "gross_total": 131}, None, False),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_not_judged(changes: dict[str, Any], by: Decimal | None, is_judged: bool) -> None:
    assert judged(**changes) == (by, is_judged)
