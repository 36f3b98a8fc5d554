"""When the totals of a document disagree by more than rounding explains."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billingo_assets.normalize.documents import normalize
from billingo_assets.normalize.reconciling import unreconciled_by
from billingo_assets_tests.normalize.documents import as_json, document, item


def gap(gross: str | None, *, net: str | None = "100", vat: str | None = "27", **facts: Any) -> Decimal | None:
    amounts = {
        name: None if text is None else Decimal(text) for name, text in {"gross": gross, "net": net, "vat": vat}.items()
    }
    return unreconciled_by(**({"lines": [], "currency": "EUR", "payment_method": None} | amounts | facts))


@pytest.mark.parametrize(
    ("currency", "method", "allowed", "too_much"),
    [
        ("EUR", None, "0.02", "0.03"),
        ("EUR", "cash", "0.02", "0.03"),
        (None, None, "0.02", "0.03"),
        ("HUF", None, "2", "2.01"),
        ("HUF", "cash", "4.5", "4.51"),
    ],
)
def test_rounding_is_allowed_one_unit_for_the_header_and_each_line_and_cash_in_fives(
    currency: str | None, method: str | None, allowed: str, too_much: str
) -> None:
    for sign in (1, -1):
        facts = {"lines": [Decimal(127)], "currency": currency, "payment_method": method}
        assert gap(str(127 + sign * Decimal(allowed)), **facts) is None
        assert gap(str(127 + sign * Decimal(too_much)), **facts) == Decimal(too_much)


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
