"""Documents drawn at random from what is described: every field, type and enum, in any combination. No tests here."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tools.check_sandbox import ENUMS, FIELDS, Field

_MISSING = 0.08
_NULL = 0.3
_REQUIRED = {("document", "id"), ("related", "id")}
_TEXTS = (
    "",
    "--",
    "Árvíztűrő tükörfúrógép",
    'idézőjel: " és \\',
    "több\nsor\tés tabulátor",
    "0",
    "3.14",
    "=1+1",
    "🧾",
    "x" * 3_000,
    " szélein szóköz ",
    "<b>&amp;</b>",
)
_NUMBERS = (
    "0",
    "-0.0",
    "1",
    "1.0",
    "0.1",
    "-12.50",
    "154842.21",
    "154842",
    "5.551115123125783e-17",
    "8.9e-16",
    "4e-324",
    "1.7976931348623157e308",
    "0.30000000000000004",
    "1E+2",
    "12345678901234567.89",
)
_EPOCH = date(2019, 1, 1)


class Drawing:
    """Draws documents of ids from 1 on; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._drawn = 0

    def document(self) -> dict[str, Any]:
        """Draw the next document; now and then one with a field that nobody described."""
        self._drawn += 1
        document = self._object("document") | {"id": self._drawn}
        if "block_id" in document:
            document["block_id"] = self._random.randrange(4100, 4104)
        if document.get("invoice_number"):
            document["invoice_number"] = self._number()
        if self._chance(0.05):
            document[f"new_field_{self._random.randrange(5)}"] = self._text()
        return document

    def _object(self, table: str) -> dict[str, Any]:
        return {
            name: self._value(field)
            for name, field in FIELDS[table].items()
            if (table, name) in _REQUIRED or not self._chance(_MISSING)
        }

    def _value(self, field: Field) -> Any:
        if (field.is_nullable or field.is_empty_at_times) and self._chance(_NULL):
            return "" if field.is_empty_at_times and self._chance(0.5) else None
        return self._kind(field.kind)

    def _kind(self, kind: str) -> Any:
        if kind.startswith("["):
            return [self._kind(kind[1:-1]) for _ in range(self._random.choice((0, 1, 1, 2, 3, 8)))]
        if kind in FIELDS:
            return self._object(kind)
        if kind in ENUMS:
            return self._random.choice(sorted(ENUMS[kind]))
        match kind:
            case "str":
                return self._text()
            case "int":
                return self._random.randrange(1, self._random.choice((2**31, 2**53)))
            case "num":
                return self._amount()
            case "bool":
                return self._chance(0.5)
            case "date":
                return (_EPOCH + timedelta(days=self._random.randrange(3_000))).isoformat()
            case "country":
                return self._random.choice(("HU", "DE", "XK", ""))
        raise NotImplementedError(kind)

    def _amount(self) -> Decimal | int:
        if self._chance(0.2):
            return Decimal(self._random.choice(_NUMBERS))
        if self._chance(0.3):
            return self._random.randrange(-(10**7), 10**7)
        if self._chance(0.3):
            return Decimal(repr(self._random.uniform(-1e6, 1e6)))
        return Decimal(self._random.randrange(-(10**9), 10**9)).scaleb(-self._random.randrange(5))

    def _text(self) -> str:
        return self._random.choice(_TEXTS)

    def _number(self) -> str:
        year, number = self._random.randrange(2024, 2027), self._drawn
        return self._random.choice(
            (f"{year}-{number}", f"{year}-{number:06}", f"INV-{year}-{number}", f"E / {year}-{number:06}")
        )

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability
