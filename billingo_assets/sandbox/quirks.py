"""What nobody knows of the real API: the sandbox behaves in every way that is possible, one at a time.

`Quirks` are of the server and can change at any moment; `Habits` say how documents are written, and so belong to a
world from its beginning. The defaults are the likeliest answers. Which documents a query selects is in `query`; what
plainly goes wrong is in `faults`.
"""

from typing import Annotated, Literal
from zoneinfo import available_timezones

import msgspec

from billingo_assets.sandbox.record import Record

ListingOrder = Literal["created", "invoice_date"]
UnpaidDate = Literal["today", "stored"]
PageSizeTold = Literal["number", "text", "asked", "nothing"]
"""What an answer says in `per_page`: the size of its pages, the same as text, what was asked for, or nothing."""


class Habits(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What nobody knows of the documents themselves. A storno is a `cancellation` or a `receipt_cancellation`.

    `storno_amounts`: the amounts of a storno are "negative", or the same "positive" ones as the original's.
    `storno_payment_status` is that of a storno; `cancelled_payment_status` that of the document that it cancels, which
    is "kept" or another from then on. `originals_list_corrections` makes related documents know of each other both
    ways. `originals_name_corrections` lets the `correction_type` of an original become `canceled` or `modified`.
    A modification is a "delta", which withdraws a line by a negative one, or a "restatement" of all lines that hold.
    A `discount` is in the amounts of the "lines" already, or comes off the "header" alone.
    """

    storno_amounts: Literal["negative", "positive"] = "negative"
    storno_payment_status: Literal["none", "outstanding", "paid"] = "none"
    cancelled_payment_status: Literal["kept", "none", "paid"] = "kept"
    originals_list_corrections: bool = False
    originals_name_corrections: bool = False
    modification: Literal["delta", "restatement"] = "delta"
    discount: Literal["lines", "header"] = "lines"


class Quirks(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Unknown behaviours of the real API, and a server clock that may be wrong.

    By default, `last_modified_date` finds new, edited and paid documents, from its very second on or
    `modified_strictly_after` it; it is read as local time of `time_zone`. `clock_skew_seconds` shifts
    /utils/time, the `Date` header (if the server `sends_date`) and the modification times alike.

    `hidden_from_listing` are ids of documents that only a number filter and GET /documents/{id} find; no other
    listing shows or counts them. `numbers_ignore_block` makes a number filter ignore `block_id`. Listings come
    in `order`: the newest "created" first, or the newest "invoice_date" first and then the newest created.
    `page_size_cap` is the most documents that a page has, whatever `per_page` asks for; the answer says so in
    `per_page` as `page_size_told` has it. `total_off_by` is how many documents more (or fewer) a listing without
    filters counts than it has.
    `receipts_only_by_type` leaves receipts and their cancellations out of every listing that asks neither for a type
    nor for numbers. `type_filter_is_narrow` makes the filter refuse all types but two, as 3.0.15 describes it.

    `unpaid_paid_date`: the `paid_date` of a document that is not paid. Billingo sends "today", the day of the request
    in `time_zone`; "stored" sends the document's own value: null, "" or nothing at all.
    `paid_filter_finds_unpaid`: whether the filter by day of payment goes by that day too.
    `pdf_takes_a_moment`: the first request for a document's PDF is answered by 202.
    """

    last_modified_omits_new: bool = False
    last_modified_ignores_payments: bool = False
    modified_strictly_after: bool = False
    documents_without_modification_time: frozenset[int] = frozenset()
    hidden_from_listing: frozenset[int] = frozenset()
    numbers_ignore_block: bool = False
    order: ListingOrder = "created"
    page_size_cap: Annotated[int, msgspec.Meta(ge=1)] | None = None
    page_size_told: PageSizeTold = "number"
    total_off_by: int = 0
    receipts_only_by_type: bool = False
    type_filter_is_narrow: bool = False
    sends_date: bool = True
    clock_skew_seconds: float = 0.0
    time_zone: str = "Europe/Budapest"
    unpaid_paid_date: UnpaidDate = "today"
    paid_filter_finds_unpaid: bool = False
    pdf_takes_a_moment: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for a time zone that does not exist."""
        if self.time_zone not in available_timezones():
            raise ValueError(f"{self.time_zone} is no time zone; take one such as Europe/Budapest")

    @property
    def listing_is_plain(self) -> bool:
        """Whether a listing without filters shows every document, the newest created first."""
        return self.order == "created" and not self.hidden_from_listing and not self.receipts_only_by_type

    def modified_at(self, record: Record) -> float | None:
        """Say when this server believes a document was modified, in its own seconds since the epoch."""
        if record.facts.id in self.documents_without_modification_time:
            return None
        times = [record.edited_at]
        if not self.last_modified_omits_new:
            times.append(record.created_at)
        if not self.last_modified_ignores_payments:
            times.append(record.payment_changed_at)
        return max((at + self.clock_skew_seconds for at in times if at is not None), default=None)

    def modified_since(self, records: list[Record], threshold: float) -> list[Record]:
        """Those modified since `threshold`, which is included or not."""
        # Quick and rough first, of what is older by every reading of it.
        rough = threshold - self.clock_skew_seconds - 1
        recent = [
            record
            for record in records
            if record.created_at >= rough
            or (record.edited_at or rough - 1) >= rough
            or (record.payment_changed_at or rough - 1) >= rough
        ]
        return [
            record
            for record in recent
            if (at := self.modified_at(record)) is not None
            and (at > threshold if self.modified_strictly_after else at >= threshold)
        ]
