"""Writes one document at a time for one company: numbers, partner, lines, states.

The same seed and the same calls give the same documents. Which documents a company has, and when, is decided
in `history`; a change to a document that exists is in `company`.
"""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from billingo_assets.sandbox import amounts, identities
from billingo_assets.sandbox import vocabulary as words

Document = dict[str, Any]

_FIRST_DOCUMENT_ID = 70_000_000  # the same for every company: ids of two companies do collide
_FIRST_BLOCK_ID = 4_100
_CURRENCIES = (*("HUF",) * 16, *("EUR",) * 3, "USD")
_NOT_A_VALUE = object()


class Generator:
    """The documents of one company; `partner_count` is how many domestic partners it has."""

    def __init__(self, *, seed: str, name: str, partner_count: int = 40) -> None:
        self._rng = Random(seed)  # noqa: S311 - repeatable on purpose
        self.api_key = identities.api_key(self._rng)
        self.organization = identities.organization(self._rng, name)
        self._partners = identities.partners(self._rng, partner_count)
        self._next_id = _FIRST_DOCUMENT_ID
        self._numbered: Counter[tuple[int, int]] = Counter()

    def chance(self, probability: float) -> bool:
        """Draw yes or no."""
        return self._rng.random() < probability

    def draw(self, low: int, high: int) -> int:
        """Draw an integer of low..high, both included."""
        return low + int(self._rng.random() * (high - low + 1))

    def choose(self, options: Any) -> Any:
        """Draw one of a sequence; several times faster than Random.choice, and there are millions to draw."""
        return options[int(self._rng.random() * len(options))]

    def document(self, type_: str, day: date, *, today: date) -> Document:
        """Write a document of its own, dated `day`, in the payment state it has by `today`."""
        currency = self.choose(_CURRENCIES)
        # A partner abroad is invoiced in foreign money more often than not, and without Hungarian VAT.
        abroad = currency != "HUF" and self.chance(0.7)
        partner = self.choose(self._partners[-3:] if abroad else self._partners[:-3])
        rate: Any = self._rate(currency)
        return self._write(type_, day, today, partner, currency, rate, self._items(currency, rate, abroad=abroad))

    def follow_up(self, type_: str, original: Document, day: date, *, today: date) -> Document:
        """Write what refers back to `original`: its cancellation, modification, or final invoice.

        A cancellation turns every sign. A modification withdraws the first line and bills other
        ones instead. An invoice that follows an advance bills its own lines and deducts the advance.
        """
        currency, rate = original["currency"], original["conversion_rate"]
        if type_ in ("cancellation", "receipt_cancellation"):
            items, gross = amounts.negated(original["items"]), -original["gross_total"]
        else:
            anew = self._items(currency, rate, abroad=False)
            withdrawn = original["items"][:1] if type_ == "modification" else original["items"]
            items, gross = [*amounts.negated(withdrawn), *anew], None
        partner = original.get("document_partner") or original["partner"]
        document = self._write(
            type_, day, today, partner, currency, rate, items, gross=gross, block_id=original["block_id"]
        )
        document["related_documents"] = [{"id": original["id"], "invoice_number": original["invoice_number"]}]
        return document

    def issued(self, draft: Document, day: date, *, as_new: bool = False) -> Document:
        """Write the invoice that a draft becomes on `day`, with the same lines; `as_new` gives it another id."""
        blocks = self._blocks("invoice")
        block_id = draft.get("block_id")
        block_id = block_id if block_id in blocks else blocks[0]
        return draft | {
            "id": self._new_id() if as_new else draft["id"],
            "invoice_number": self._number("invoice", day, block_id),
            "type": "invoice",
            "block_id": block_id,
            "payment_status": "outstanding",
            "invoice_date": day.isoformat(),
            "settings": (draft.get("settings") or {}) | {"selected_type": "invoice"},
            "online_szamla_status": "finished",
        }

    def _rate(self, currency: str) -> Any:
        if currency == "HUF":
            return self.choose((1, Decimal("1.0")))
        low, high = (38000, 41500) if currency == "EUR" else (33500, 39000)
        return Decimal(self.draw(low, high)).scaleb(-2)

    def _items(self, currency: str, rate: Any, *, abroad: bool) -> list[amounts.Item]:
        vat = self.choose(words.FOREIGN_VAT) if abroad else words.STANDARD_VAT
        fine = currency != "HUF" or self.chance(0.3)
        items = []
        for _ in range(self.choose((1, 1, 1, 2, 2, 3, 4))):
            product = self.choose(words.PRODUCTS)
            quantity = self.choose(words.QUANTITIES)
            line_vat = self.choose(words.OTHER_VAT) if not abroad and self.chance(0.15) else vat
            item = amounts.line(product, quantity, line_vat, currency=currency, rate=rate, fine=fine)
            if self.chance(0.4):
                item |= {
                    "product_id": self.draw(900_000, 900_400),
                    "sku": f"CIKK-{self.draw(1, 400):04}",
                    "ean": "",
                }
            items.append(item)
        return items

    def _number(self, type_: str, day: date, block_id: int) -> str | None:
        if type_ in words.DRAFTS:
            return None
        self._numbered[block_id, day.year] += 1
        prefix = words.BLOCKS[block_id - _FIRST_BLOCK_ID].prefix
        return f"{prefix}{day.year}-{self._numbered[block_id, day.year]:06}"

    def _new_id(self) -> int:
        self._next_id += self.draw(1, 5)
        return self._next_id

    def _blocks(self, type_: str) -> list[int]:
        return [_FIRST_BLOCK_ID + at for at, block in enumerate(words.BLOCKS) if type_ in block.types]

    def _block(self, type_: str) -> int:
        fitting = self._blocks(type_)
        return fitting[-1] if self.chance(0.3) else fitting[0]

    def _payment(self, type_: str, day: date, due: date, today: date) -> tuple[str, date | None]:
        if type_ not in words.RECEIVABLES:
            return "none", None
        paid = day if type_ == "receipt" else day + timedelta(days=self.draw(0, 40))
        if paid <= today and not self.chance(0.08):
            return "paid", paid
        if self.chance(0.1):
            return "partially_paid", None
        return ("expired" if due < today else "outstanding"), None

    def _empty(self, document: Document, key: str) -> None:
        """Leave a field empty in one of the three ways the API does: null, "" or not there."""
        value = self.choose((None, "", _NOT_A_VALUE))
        if value is _NOT_A_VALUE:
            document.pop(key, None)
        else:
            document[key] = value

    def _write(
        self,
        type_: str,
        day: date,
        today: date,
        partner: dict[str, Any],
        currency: str,
        rate: Any,
        items: list[amounts.Item],
        *,
        gross: Decimal | None = None,
        block_id: int | None = None,
    ) -> Document:
        document_id = self._new_id()
        block_id = block_id or self._block(type_)
        gross = amounts.gross_total(self._rng, items, currency) if gross is None else gross
        due = day + timedelta(days=self.choose((0, 8, 8, 15, 30)))
        status, paid = self._payment(type_, day, due, today)
        document: Document = {
            "id": document_id,
            "invoice_number": self._number(type_, day, block_id),
            "type": type_,
            "correction_type": None,
            "cancelled": False,
            "block_id": block_id,
            "payment_status": status,
            "payment_method": self.choose(words.PAYMENT_METHODS),
            "gross_total": gross,
            "currency": currency,
            "conversion_rate": rate,
            "invoice_date": day.isoformat(),
            "fulfillment_date": (day - timedelta(days=self.draw(0, 10))).isoformat(),
            "due_date": due.isoformat(),
            "paid_date": paid.isoformat() if paid else None,
            "organization": self.organization,
            "document_partner": partner,
            "partner": partner,
            "electronic": self.chance(0.6),
            "comment": self.choose(words.COMMENTS),
            "tags": [self.choose(words.TAGS)] if self.chance(0.2) else [],
            "notification_status": self.choose(("none", "open", "readed")),
            "language": "hu" if currency == "HUF" else "en",
            "items": items,
            "summary": amounts.summary(items, gross, currency, rate),
            "settings": {
                "mediated_service": False,
                "without_financial_fulfillment": False,
                "online_payment": "",
                "round": "one" if currency == "HUF" else "none",
                "order_number": f"R-{document_id % 9973}",
                "place_id": None,
                "instant_payment": False,
                "selected_type": type_,
            },
            "online_szamla_status": "finished" if type_ in words.ONLINE_SZAMLA else None,
            "related_documents": [],
            "discount": {"type": "percent", "value": self.draw(1, 20)} if self.chance(0.05) else None,
        }
        self._roughen(document)
        return document

    def _roughen(self, document: Document) -> None:
        """Make the document as untidy as the real ones: gaps, deprecated and undocumented fields."""
        shape = self._rng.random()
        if shape < 0.15:
            del document["document_partner"]
        elif shape < 0.3:
            del document["partner"]
        if document["invoice_number"] is None and self.chance(0.5):
            del document["invoice_number"]
        if not document["paid_date"]:
            self._empty(document, "paid_date")
        if self.chance(0.5):
            self._empty(document, "comment")
        if self.chance(0.1):
            self._empty(document, "due_date")
        if self.chance(0.1):
            self._empty(document, "correction_type")
        if self.chance(0.04):
            document["vendor_id"] = f"vendor-{document['id']}"
        if self.chance(0.04):
            document["ai_suggestions"] = {"category": "árbevétel", "confidence": Decimal("0.8700")}
