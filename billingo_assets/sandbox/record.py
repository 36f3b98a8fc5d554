"""One stored document: the JSON text that is served, and what filters and the ledger need to know of it.

The text is the truth; everything else is read from it once, when it is stored. A text need not be a sound
document (tests store broken ones), so every reading here falls back to "unknown" and never fails.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_NUMBER = re.compile(r"(\d{4})-(\d+)$")
_UNPAID = frozenset({"expired", "none", "outstanding"})


class Facts(NamedTuple):
    """What is known of a document's content; None or "" where it says nothing usable.

    `paid_date` is that of a payment: "" where nothing was paid.
    """

    id: int | None
    type: str
    year_and_number: tuple[int, int] | None
    invoice_date: str
    fulfillment_date: str
    paid_date: str
    payment_status: str
    payment_method: str
    partner_id: int | None
    block_id: int | None
    searched: str
    item_count: int
    currency: str
    gross: Decimal
    net: Decimal
    vat: Decimal
    is_cancelled: bool
    link_count: int

    @property
    def is_unpaid(self) -> bool:
        """Whether the document says that nothing of it was paid."""
        return self.payment_status in _UNPAID


@dataclass(slots=True, eq=False)
class Record:
    """A stored document; times are seconds since the epoch.

    `counted` says whether the ledger takes it as sound.
    """

    body: bytes
    facts: Facts
    created_at: int
    edited_at: int | None = None
    payment_changed_at: int | None = None
    counted: bool = True
    is_verbatim: bool = False
    """Served as it is, whatever habits the service has."""

    def shown_on(self, day: str | None) -> bytes:
        """The body as it is served on a day to which unpaid documents are dated; None: they are served as stored."""
        if day is None or self.is_verbatim or not self.facts.is_unpaid:
            return self.body
        return encode(self.document() | {"paid_date": day})

    def document(self) -> dict[str, Any]:
        """Decode a fresh copy; amounts are `int` or `Decimal`. Raises msgspec.DecodeError for broken text."""
        document: dict[str, Any] = _DECODER.decode(self.body)
        return document

    def replace(self, document: dict[str, Any]) -> None:
        """Store another content; the times are the caller's to set."""
        self.body, self.facts = encode(document), facts_of(document)


def encode(value: Any) -> bytes:
    """Encode to JSON with every Decimal as the number it is written as."""
    return _ENCODER.encode(value)


def parse(body: bytes) -> Any:
    """Decode JSON without binary floats; None where the text is not JSON, or nested too deeply."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
        return None


def facts_of(document: Any) -> Facts:
    """Read what filters and the ledger use from anything at all."""
    if not isinstance(document, dict):
        document = {}
    number = _text(document.get("invoice_number"))
    found = _NUMBER.search(number)
    partner = document.get("document_partner") or document.get("partner")
    partner = partner if isinstance(partner, dict) else {}
    summary = document.get("summary")
    summary = summary if isinstance(summary, dict) else {}
    items, related = document.get("items"), document.get("related_documents")
    payment_status = _text(document.get("payment_status"))
    return Facts(
        id=_integer(document.get("id")),
        type=_text(document.get("type")),
        year_and_number=(int(found[1]), int(found[2])) if found else None,
        invoice_date=_text(document.get("invoice_date")),
        fulfillment_date=_text(document.get("fulfillment_date")),
        paid_date="" if payment_status in _UNPAID else _text(document.get("paid_date")),
        payment_status=payment_status,
        payment_method=_text(document.get("payment_method")),
        partner_id=_integer(partner.get("id")),
        block_id=_integer(document.get("block_id")),
        searched=f"{number}\n{_text(partner.get('name'))}\n{_text(partner.get('taxcode'))}".casefold(),
        item_count=len(items) if isinstance(items, list) else 0,
        currency=_text(document.get("currency")),
        gross=_amount(document.get("gross_total")),
        net=_amount(summary.get("net_amount")),
        vat=_amount(summary.get("vat_amount")),
        is_cancelled=document.get("cancelled") is True,
        link_count=len(related) if isinstance(related, list) else 0,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _amount(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(_integer(value) or 0)
