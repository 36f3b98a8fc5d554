"""The answers of the API that this project reads, as types. Records stay bytes: they are kept as sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec


def told_code(code: str | int | None) -> str | None:
    """A code that says something. Billingo writes `--` or nothing where there is none."""
    text = str(code or "").strip()
    return text if any(map(str.isalnum, text)) else None


class Organization(msgspec.Struct, frozen=True):
    """`GET /organization`: whose key it is. Other fields are ignored."""

    tax_code: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | int | None = None


class Identified(msgspec.Struct, frozen=True):
    """A record, as far as its id: other fields are ignored."""

    id: int


class Moment(msgspec.Struct, frozen=True):
    """`GET /utils/time`: the server's clock, in seconds since the epoch, up to the year 9999."""

    epoch: Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800)]


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number of documents that a company can have, and that the database can note."""


class RecordsEnvelope(msgspec.Struct, frozen=True):
    """The envelope of a page of a collection; `data` is left undecoded, and so is what an answer may do without."""

    data: list[msgspec.Raw]
    total: Count
    last_page: int | None = None
    per_page: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key answered, and the server's clock when it did (None where the answer bears no date)."""

    tax_code: str | None
    server_time: datetime | None


@dataclass(frozen=True, slots=True)
class RecordsPage:
    """One page of a collection: its records as sent, in JSON, and what the page says of the whole.

    `page_size` is how many records the server puts on a page, which need not be how many were asked for.
    """

    number: int
    last_page: int
    total: int
    records: list[bytes]
    page_size: int

    @property
    def is_whole(self) -> bool:
        """Whether it shows as many records as a page of this size has at its place."""
        before = (self.number - 1) * self.page_size
        return len(self.records) >= min(self.page_size, max(0, self.total - before))

    @property
    def shows_all(self) -> bool:
        """Whether it is the first page and the only one."""
        return self.number == 1 and len(self.records) >= self.total

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(map(len, self.records))


def pages_of(total: int, page_size: int) -> int:
    """How many pages so many records are; an empty listing has one."""
    return max(1, -(-total // page_size))


def size_of_pages(*, number: int, total: int, last_page: int | None, told: int | None, asked: int, shown: int) -> int:
    """How many records a server puts on a page, by what one of its pages tells and shows.

    What it tells (or else what was asked for) counts, unless its last page contradicts that and agrees with what the
    page shows: a server may repeat the wish and not heed it.
    """
    size = told or asked
    if last_page is None:
        size = told or shown or asked
    elif shown and number < last_page and pages_of(total, shown) == last_page != pages_of(total, size):
        size = shown
    return max(size, shown)
