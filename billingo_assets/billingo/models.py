"""Types for the answers of the API that this project reads. Records stay bytes, as sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec


def usable_code(code: str | int | None) -> str | None:
    """The code as text; None for a missing one, which Billingo writes as `--` or leaves empty."""
    text = str(code or "").strip()
    return text if any(map(str.isalnum, text)) else None


class Organization(msgspec.Struct, frozen=True):
    """`GET /organization`: the company that the key belongs to. Other fields are ignored."""

    tax_code: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | int | None = None


class Identified(msgspec.Struct, frozen=True):
    """The id of a record. Other fields are ignored."""

    id: int


class Moment(msgspec.Struct, frozen=True):
    """`GET /utils/time`: the server's clock, in seconds since the epoch, up to the year 9999."""

    epoch: Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800)]


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number of documents, within what the database can store."""


class RecordsEnvelope(msgspec.Struct, frozen=True):
    """The envelope of a page of a collection. `data` and the optional `per_page` are left undecoded."""

    data: list[msgspec.Raw]
    total: Count
    last_page: int | None = None
    per_page: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Identity:
    """The company of the key, and the server's clock at the answer (None if the answer has no date)."""

    tax_code: str | None
    server_time: datetime | None


@dataclass(frozen=True, slots=True)
class RecordsPage:
    """One page of a collection: its records as sent, in JSON, and what the page says about the whole collection.

    `page_size` is how many records the server puts on a page, which may differ from the requested number.
    """

    number: int
    last_page: int
    total: int
    records: list[bytes]
    page_size: int

    @property
    def is_complete(self) -> bool:
        """Whether it shows as many records as it should, given its number, the page size and the total."""
        before = (self.number - 1) * self.page_size
        return len(self.records) >= min(self.page_size, max(0, self.total - before))

    @property
    def shows_all(self) -> bool:
        """Whether it is the only page."""
        return self.number == 1 and len(self.records) >= self.total

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(map(len, self.records))


def pages_of(total: int, page_size: int) -> int:
    """How many pages `total` records fill; an empty listing has one page."""
    return max(1, -(-total // page_size))


def size_of_pages(*, number: int, total: int, last_page: int | None, stated: int | None, asked: int, shown: int) -> int:
    """How many records a server puts on a page, judged by one of its pages.

    The stated size counts, or else the requested one, unless `last_page` contradicts it and agrees with the number of
    records shown: a server may repeat the requested size and ignore it.
    """
    size = stated or asked
    if last_page is None:
        size = stated or shown or asked
    elif shown and number < last_page and pages_of(total, shown) == last_page != pages_of(total, size):
        size = shown
    return max(size, shown)
