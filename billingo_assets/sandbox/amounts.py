"""Line items and their totals, in exact decimals, rounded as invoicing programs round: half up, line by line.

Forints are whole, or, on some documents, kept to fillér until the gross total; other currencies have two
places. Net and VAT are rounded separately from gross, so their sum may miss it by one unit, as in the wild.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from billingo_assets.sandbox import vocabulary as words

_ONE, _CENT = Decimal(1), Decimal("0.01")
_SIGNED = ("quantity", "net_amount", "vat_amount", "gross_amount")
_RATES = {vat.name: vat.rate for vat in (words.STANDARD_VAT, *words.OTHER_VAT, *words.FOREIGN_VAT)}

Item = dict[str, Any]


def smallest_unit(currency: str) -> Decimal:
    """Say to what a gross amount is rounded: one forint, or one cent."""
    return _ONE if currency == "HUF" else _CENT


def line(
    product: words.Product, quantity: Decimal, vat: words.Vat, *, currency: str, rate: Decimal, fine: bool
) -> Item:
    """Write one line; `rate` is forints per unit of currency, `fine` keeps fillér in its net and VAT."""
    unit = smallest_unit(currency)
    price = product.price if currency == "HUF" else (product.price / rate).quantize(_CENT, ROUND_HALF_UP)
    exact = price * quantity
    places = _CENT if fine else unit
    net = exact.quantize(places, ROUND_HALF_UP)
    return {
        "product_id": None,
        "name": product.name,
        "net_unit_amount": price,
        "quantity": quantity,
        "unit": product.unit,
        "net_amount": net,
        "vat_amount": (net * vat.rate).quantize(places, ROUND_HALF_UP),
        "gross_amount": (exact * (1 + vat.rate)).quantize(unit, ROUND_HALF_UP),
        "vat": vat.name,
        "entitlement": vat.entitlement,
        "comment": "",
    }


def negated(items: Iterable[Item]) -> list[Item]:
    """Copy lines with the signs of their quantities and amounts turned, as a cancellation shows them."""
    return [{**item, **{key: -item[key] for key in _SIGNED}} for item in items]


def gross_total(rng: Random, items: Iterable[Item], currency: str) -> Decimal:
    """Sum the lines' net and VAT, round to the currency, and now and then land one unit beside it."""
    unit = smallest_unit(currency)
    exact = sum((item["net_amount"] + item["vat_amount"] for item in items), Decimal(0))
    total = exact.quantize(unit, ROUND_HALF_UP)
    return total + unit if total == exact and rng.random() < 0.05 else total


def summary(items: Iterable[Item], gross: Decimal, currency: str, rate: Decimal) -> dict[str, Any]:
    """Write the `summary` of a document: totals, their forint values, and one row per VAT name."""
    rows: dict[str, list[Decimal]] = {}
    for item in items:
        row = rows.setdefault(item["vat"], [Decimal(0), Decimal(0), Decimal(0)])
        row[0] += item["net_amount"]
        row[1] += item["vat_amount"]
        row[2] += item["gross_amount"]
    net = sum((row[0] for row in rows.values()), Decimal(0))
    vat = sum((row[1] for row in rows.values()), Decimal(0))

    def local(amount: Decimal) -> Decimal:
        # An amount that was read back from a document may be an int.
        return amount if currency == "HUF" else (Decimal(amount) * rate).quantize(_ONE, ROUND_HALF_UP)

    return {
        "net_amount": net,
        "net_amount_local": local(net),
        "gross_amount_local": local(gross),
        "vat_amount": vat,
        "vat_amount_local": local(vat),
        "vat_rate_summary": [
            {
                "vat_name": name,
                "vat_percentage": _RATES[name] * 100,
                "vat_rate_net_amount": row[0],
                "vat_rate_vat_amount": row[1],
                "vat_rate_vat_amount_local": local(row[1]),
                "vat_rate_gross_amount": row[2],
            }
            for name, row in rows.items()
        ],
    }
