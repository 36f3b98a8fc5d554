"""Writes one document at a time for one company: numbers, partner, lines, states.

The same seed and the same calls give the same documents. Which documents a company has, and when, is decided
in `history`; a change to a document that exists is in `company`.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal, NamedTuple

from billingo_assets.sandbox import amounts, identities
from billingo_assets.sandbox import vocabulary as words
from billingo_assets.sandbox.amounts import Terms
from billingo_assets.sandbox.quirks import Habits

Document = dict[str, Any]

FollowUp = Literal["cancellation", "receipt_cancellation", "modification", "final", "smaller final"]
"""What can follow a document; a final invoice follows an advance, which exceeds a smaller one."""

_FIRST_DOCUMENT_ID = 70_000_000  # the same for every company: ids of two companies do collide
_FIRST_BLOCK_ID = 4_100
_CURRENCIES = (*("HUF",) * 16, *("EUR",) * 3, "USD")
_STORNOS = frozenset({"cancellation", "receipt_cancellation"})
_CORRECTED = {"cancellation": "canceled", "receipt_cancellation": "canceled", "modification": "modified"}
_NOT_A_VALUE = object()


class _Deal(NamedTuple):
    """What a document shares with those that follow it."""

    partner: dict[str, Any]
    terms: Terms
    payment_method: str
    block_id: int


class Generator:
    """The documents of one company; `partner_count` is how many domestic partners it has."""

    def __init__(self, *, seed: str, name: str, partner_count: int = 40, habits: Habits | None = None) -> None:
        self._rng = Random(seed)  # noqa: S311 - repeatable on purpose
        self._habits = habits or Habits()
        self.api_key = identities.api_key(self._rng)
        self.organization = identities.organization(self._rng, name)
        partners = identities.partners(self._rng, partner_count)
        self._domestic, self._foreign = partners[:partner_count], partners[partner_count:]
        self._is_exempt = identities.is_exempt(name)
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

    def document(self, type_: str, day: date, *, today: date, is_paid: bool | None = None) -> Document:
        """Write a document of its own, dated `day`, in the payment state it has by `today`, or the one that is said."""
        currency = self.choose(_CURRENCIES)
        # A partner abroad is invoiced in foreign money more often than not, and without Hungarian VAT.
        abroad = currency != "HUF" and type_ != "receipt" and self.chance(0.7)
        deal = self._deal(type_, self.choose(self._foreign if abroad else self._domestic), currency)
        return self._write(type_, day, today, deal, self._items(type_, deal), is_paid=is_paid)

    def follow_up(self, kind: FollowUp, original: Document, day: date, *, today: date) -> Document:
        """Write what refers back to `original`: its cancellation, modification, or final invoice.

        A cancellation turns every sign. A modification withdraws the first line and bills other ones instead. A final
        invoice bills lines of its own and deducts all those of the advance.
        """
        deal, lines = self._deal_of(original), original["items"]
        header = None
        if kind in _STORNOS:
            items, header = lines, (original["gross_total"], original["summary"])
            if self._habits.storno_amounts == "negative":
                items, header = amounts.negated(items), amounts.negated_header(*header)
        elif kind == "modification":
            own = self._items("invoice", deal)
            is_delta = self._habits.modification == "delta"
            items = [*amounts.negated(lines[:1]), *own] if is_delta else [*lines[1:], *own]
        elif kind == "final":
            items = [*self._items("invoice", deal), *amounts.negated(lines)]
        else:
            items = [*amounts.portion(lines, Decimal("0.4")), *amounts.negated(lines)]
        type_ = "invoice" if kind.endswith("final") else kind
        document = self._write(type_, day, today, deal, items, header=header)
        document["related_documents"] = [_link(original)]
        if kind in _STORNOS and self._habits.storno_payment_status != "none":
            document["payment_status"] = self._habits.storno_payment_status
            document["paid_date"] = day.isoformat() if document["payment_status"] == "paid" else None
        return document

    def corrected(self, original: Document, by: Document) -> Document:
        """Write what becomes of an original once another document refers to it."""
        habits = self._habits
        changes: Document = {}
        if by["type"] in _STORNOS:
            changes["cancelled"] = True
            if habits.cancelled_payment_status != "kept":
                changes["payment_status"] = habits.cancelled_payment_status
                is_paid = habits.cancelled_payment_status == "paid"
                changes["paid_date"] = (original.get("paid_date") or by["invoice_date"]) if is_paid else None
        if habits.originals_name_corrections and by["type"] in _CORRECTED:
            changes["correction_type"] = _CORRECTED[by["type"]]
        if habits.originals_list_corrections:
            changes["related_documents"] = [*original["related_documents"], _link(by)]
        return original | changes

    def issued(self, draft: Document, day: date, *, as_new: bool = False) -> Document:
        """Write the invoice that a draft becomes on `day`, with the same lines; `as_new` gives it another id."""
        blocks = self._blocks("invoice")
        block_id = draft.get("block_id")
        block_id = block_id if block_id in blocks else blocks[0]
        return draft | {
            "id": self._new_id() if as_new else draft["id"],
            "invoice_number": self._number("invoice", day, block_id),
            "type": "invoice",
            "correction_type": "invoice",
            "block_id": block_id,
            "payment_status": "outstanding",
            "invoice_date": day.isoformat(),
            "settings": (draft.get("settings") or {}) | {"selected_type": "invoice"},
            "online_szamla_status": "done",
        }

    def _deal(self, type_: str, partner: dict[str, Any], currency: str) -> _Deal:
        payment_method = self.choose(words.PAYMENT_METHODS)
        if currency == "HUF":
            is_in_fives = payment_method == "cash" and self.chance(0.5)
            rate: Any = self.choose((1, Decimal("1.0")))
            rounding = "five" if is_in_fives else self.choose(words.ROUNDINGS)
        else:
            low, high = (38000, 41500) if currency == "EUR" else (33500, 39000)
            rate = Decimal(self.draw(low, high)).scaleb(-2)
            rounding = "one" if self.chance(0.05) else "none"
        discount = self.draw(1, 20) if type_ != "advance" and self.chance(0.05) else 0
        terms = Terms(currency, rate, rounding, discount, self._habits.discount == "lines")
        return _Deal(partner, terms, payment_method, self._block(type_))

    def _deal_of(self, original: Document) -> _Deal:
        """The deal that a document was made for; advances are given no discount, nor are final invoices."""
        terms = Terms(
            original["currency"],
            original["conversion_rate"],
            (original.get("settings") or {}).get("round", "one"),
            (original.get("discount") or {}).get("value", 0),
            self._habits.discount == "lines",
        )
        partner = original.get("document_partner") or original["partner"]
        return _Deal(partner, terms, original["payment_method"], original["block_id"])

    def _items(self, type_: str, deal: _Deal) -> list[amounts.Item]:
        abroad = words.FOREIGN_VAT.get((deal.partner.get("address") or {}).get("country_code", ""))
        vats: Sequence[words.Vat]
        if abroad:
            vats = (self.choose(abroad),)
        elif self._is_exempt:
            vats = (words.EXEMPT_VAT,)
        else:
            vats = words.RECEIPT_VAT if type_ == "receipt" else words.OTHER_VAT
        fine = deal.terms.currency != "HUF" or self.chance(0.3)
        items: list[amounts.Item] = []
        for _ in range(self.choose((1, 1, 1, 2, 2, 3, 4))):
            is_standard = not abroad and not self._is_exempt and not self.chance(0.2)
            vat = words.STANDARD_VAT if is_standard else self.choose(vats)
            product, quantity = self.choose(words.PRODUCTS), self.choose(words.QUANTITIES)
            item = amounts.line(product, quantity, vat, deal.terms, fine=fine)
            items.append(item)
            has_deposit = product is words.BOTTLE and not abroad and type_ != "receipt"
            if self.chance(0.4) or has_deposit:
                codes = "1234-5678-9012-3456,1234-5678-9012-3457" if self.chance(0.02) else ""
                item |= _product_fields(self.draw(900_000, 900_400), data_eraser_codes=codes)
            if has_deposit:
                deposit = amounts.line(words.DEPOSIT, quantity, words.DEPOSIT_VAT, deal.terms, fine=fine)
                items.append(deposit | _product_fields(900_401, connected_to=(item["product_id"], len(items) - 1)))
        return items

    def _number(self, type_: str, day: date, block_id: int) -> str | None:
        if type_ in words.DRAFTS:
            return None
        self._numbered[block_id, day.year] += 1
        return words.BLOCKS[block_id - _FIRST_BLOCK_ID].number(day.year, self._numbered[block_id, day.year])

    def _new_id(self) -> int:
        self._next_id += self.draw(1, 5)
        return self._next_id

    def _blocks(self, type_: str) -> list[int]:
        return [_FIRST_BLOCK_ID + at for at, block in enumerate(words.BLOCKS) if type_ in block.types]

    def _block(self, type_: str) -> int:
        fitting = self._blocks(type_)
        return self.choose(fitting[1:] or fitting) if self.chance(0.4) else fitting[0]

    def _payment(self, type_: str, day: date, due: date, today: date, is_paid: bool | None) -> tuple[str, date | None]:
        if type_ not in words.RECEIVABLES:
            return "none", None
        paid = day if type_ == "receipt" else day + timedelta(days=self.draw(0, 40))
        if is_paid or (is_paid is None and paid <= today and not self.chance(0.08)):
            return "paid", min(paid, today)
        if is_paid is None and self.chance(0.1):
            return "partially_paid", min(paid, today)
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
        deal: _Deal,
        items: list[amounts.Item],
        *,
        header: tuple[Any, dict[str, Any]] | None = None,
        is_paid: bool | None = None,
    ) -> Document:
        document_id = self._new_id()
        terms = deal.terms
        gross, summary = header or amounts.header(items, terms)
        due = day + timedelta(days=self.choose((0, 8, 8, 15, 30)))
        status, paid = self._payment(type_, day, due, today, is_paid)
        is_oss = any(item["entitlement"] == "EUE" for item in items)
        nav_state = "dont_send_oss" if is_oss else self.choose(words.NAV_STATES)
        document: Document = {
            "id": document_id,
            "invoice_number": self._number(type_, day, deal.block_id),
            "type": type_,
            "correction_type": type_,
            "cancelled": False,
            "block_id": deal.block_id,
            "payment_status": status,
            "payment_method": deal.payment_method,
            "gross_total": gross,
            "currency": terms.currency,
            "conversion_rate": terms.rate,
            "invoice_date": day.isoformat(),
            "fulfillment_date": (day - timedelta(days=self.draw(0, 10))).isoformat(),
            "due_date": due.isoformat(),
            "paid_date": paid.isoformat() if paid else None,
            "organization": self.organization,
            "document_partner": deal.partner,
            "partner": deal.partner,
            "electronic": self.chance(0.6),
            "comment": self.choose(words.COMMENTS),
            "tags": [self.choose(words.TAGS)] if self.chance(0.2) else [],
            "notification_status": self.choose(words.NOTIFICATIONS),
            "language": "hu" if terms.currency == "HUF" else "en",
            "items": items,
            "summary": summary,
            "settings": {
                "mediated_service": self.chance(0.05),
                "without_financial_fulfillment": self.chance(0.05),
                "online_payment": self.choose(words.ONLINE_PAYMENTS),
                "should_send_email": self.chance(0.3),
                "round": terms.round,
                "no_send_onlineszamla_by_user": False,
                "dont_send_to_nav_reason": "dont_send_oss" if is_oss else None,
                "order_number": f"R-{document_id % 9973}",
                "place_id": None,
                "instant_payment": False,
                "selected_type": type_,
                "instant_payment_request": None,
                "is_waybill_hide_prices": self.chance(0.5) if type_ == "waybill" else None,
            },
            "online_szamla_status": nav_state if type_ in words.ONLINE_SZAMLA else None,
            "related_documents": [],
            "discount": {"type": "percent", "value": terms.discount} if terms.discount else None,
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
        if self.chance(0.03):
            document["recurring_id"] = self.draw(1_000, 1_050)
        if self.chance(0.04):
            document["vendor_id"] = f"vendor-{document['id']}"
        if self.chance(0.04):
            document["ai_suggestions"] = {"category": "árbevétel", "confidence": Decimal("0.8700")}


def _product_fields(
    product_id: int, *, data_eraser_codes: str = "", connected_to: tuple[int, int] | None = None
) -> dict[str, Any]:
    """The fields of a line whose product is stored in Billingo; a deposit is connected to a product and its line."""
    connected_item = dict(zip(("product_id", "item_index"), connected_to, strict=True)) if connected_to else None
    return {
        "product_id": product_id,
        "sku": f"CIKK-{product_id % 1000:04}",
        "ean": "",
        "data_eraser_codes": data_eraser_codes,
        "is_deposit_fee": connected_to is not None,
        "is_connect_product": connected_to is not None,
        "connected_item": connected_item,
        "connect_document_item_setting": {"apply_quantity": True, "disable_discount": False} if connected_to else None,
    }


def _link(document: Document) -> Document:
    return {"id": document["id"], "invoice_number": document["invoice_number"]}
