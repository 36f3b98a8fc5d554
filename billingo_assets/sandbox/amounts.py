"""Line items and their totals, in exact decimals, rounded as invoicing programs round: half up, line by line.

Forints are whole, or, on some documents, kept to fillér on the lines; other currencies have two places. The net, the
VAT and the gross of a line are rounded each by itself, and so are those of the header, so that they may miss each
other by one unit, as in the wild.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from billingo_assets.sandbox import vocabulary as words

_ONE, _CENT = Decimal(1), Decimal("0.01")
_MONEY = ("net_amount", "vat_amount", "gross_amount")
_STEPS = {"none": _CENT, "one": _ONE, "five": Decimal(5), "ten": Decimal(10)}

Item = dict[str, Any]


class Terms(NamedTuple):
    """What decides the amounts of a document: `rate` is forints for one unit of `currency`, `round` its setting.

    `discount` is in percent. It is in the amounts of the lines already, or comes off the header alone.
    """

    currency: str
    rate: Any
    round: str = "one"
    discount: int = 0
    discount_is_in_lines: bool = True

    @property
    def unit(self) -> Decimal:
        """To what the net and the VAT of the header are rounded."""
        return _ONE if self.currency == "HUF" and self.round != "none" else _CENT

    @property
    def step(self) -> Decimal:
        """To a multiple of what the gross total is rounded."""
        return max(_STEPS[self.round], self.unit)

    @property
    def line_factor(self) -> Decimal:
        """What the discount leaves of a line."""
        return _left_of(self.discount if self.discount_is_in_lines else 0)

    @property
    def header_factor(self) -> Decimal:
        """What the discount leaves of the sum of the lines."""
        return _left_of(0 if self.discount_is_in_lines else self.discount)


def line(product: words.Product, quantity: Decimal, vat: words.Vat, terms: Terms, *, fine: bool) -> Item:
    """Write one line; `fine` keeps fillér in its amounts."""
    is_huf = terms.currency == "HUF"
    price = product.price if is_huf else (product.price / terms.rate).quantize(_CENT, ROUND_HALF_UP)
    exact = price * quantity * terms.line_factor
    places = _ONE if is_huf and not fine else _CENT
    net = exact.quantize(places, ROUND_HALF_UP)
    return {
        "product_id": None,
        "name": product.name,
        "net_unit_amount": price,
        "quantity": quantity,
        "unit": product.unit,
        "net_amount": net,
        "vat_amount": (net * vat.rate).quantize(places, ROUND_HALF_UP),
        "gross_amount": (exact * (1 + vat.rate)).quantize(places, ROUND_HALF_UP),
        "vat": vat.name,
        "entitlement": vat.entitlement,
        "comment": "",
    }


def negated(items: Iterable[Item]) -> list[Item]:
    """Copy lines with the signs of their quantities and amounts turned, as a cancellation shows them."""
    return [{**item, **{key: -item[key] for key in ("quantity", *_MONEY)}} for item in items]


def portion(items: Iterable[Item], share: Decimal) -> list[Item]:
    """Copy lines with a share of their quantities and amounts, kept to fillér."""
    return [
        {
            **item,
            "quantity": item["quantity"] * share,
            **{key: (item[key] * share).quantize(_CENT, ROUND_HALF_UP) for key in _MONEY},
        }
        for item in items
    ]


def header(items: Iterable[Item], terms: Terms) -> tuple[Decimal, dict[str, Any]]:
    """Write the `gross_total` and the `summary` of a document: totals, their forint values, one row per VAT name."""
    rows: dict[str, list[Decimal]] = {}
    for item in items:
        row = rows.setdefault(item["vat"], [Decimal(0), Decimal(0), Decimal(0)])
        for at, key in enumerate(_MONEY):
            row[at] += item[key]
    left, unit = terms.header_factor, terms.unit

    def total(amount: Decimal, step: Decimal = unit) -> Decimal:
        return (amount * left / step).quantize(_ONE, ROUND_HALF_UP) * step

    def local(amount: Decimal) -> Decimal:
        return amount if terms.currency == "HUF" else (amount * terms.rate).quantize(_ONE, ROUND_HALF_UP)

    exact_net, exact_vat = (sum((row[at] for row in rows.values()), Decimal(0)) for at in (0, 1))
    net, vat, gross = total(exact_net), total(exact_vat), total(exact_net + exact_vat, terms.step)
    return gross, {
        "net_amount": net,
        "net_amount_local": local(net),
        "gross_amount_local": local(gross),
        "vat_amount": vat,
        "vat_amount_local": local(vat),
        "vat_rate_summary": [
            {
                "vat_name": name,
                "vat_percentage": words.VAT_RATES[name],
                "vat_rate_net_amount": total(row[0]),
                "vat_rate_vat_amount": total(row[1]),
                "vat_rate_vat_amount_local": local(total(row[1])),
                "vat_rate_gross_amount": total(row[2]),
            }
            for name, row in rows.items()
        ],
    }


def negated_header(gross: Any, summary: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Turn the sign of a `gross_total` and of every amount in a `summary`."""

    def turned(amounts: dict[str, Any]) -> dict[str, Any]:
        return {key: -amount if _is_amount(key) else amount for key, amount in amounts.items()}

    rows = [turned(row) for row in summary["vat_rate_summary"]]
    return -gross, turned(summary) | {"vat_rate_summary": rows}


def _is_amount(key: str) -> bool:
    return key.endswith(("_amount", "_local"))


def _left_of(discount: int) -> Decimal:
    return 1 - Decimal(discount) / 100
