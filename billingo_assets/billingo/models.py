"""The answers of the API that this project reads, as types. Documents stay bytes: they are kept as sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec


class Organization(msgspec.Struct, frozen=True):
    """`GET /organization`: whose key it is. Other fields are ignored."""

    tax_code: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | None = None


class Moment(msgspec.Struct, frozen=True):
    """`GET /utils/time`: the server's clock, in seconds since the epoch, up to the year 9999."""

    epoch: Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800)]


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number of documents that a company can have, and that the database can note."""


class DocumentsEnvelope(msgspec.Struct, frozen=True):
    """The envelope of `GET /documents`; `data` is left undecoded."""

    data: list[msgspec.Raw]
    total: Count
    last_page: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key answered, and the server's clock when it did (None where it tells none)."""

    tax_code: str | None
    server_time: datetime | None


@dataclass(frozen=True, slots=True)
class DocumentsPage:
    """One page of documents: their JSON texts as sent, newest first, and what the page says of the whole."""

    number: int
    last_page: int
    total: int
    documents: list[bytes]

    @property
    def size(self) -> int:
        """Bytes of all documents."""
        return sum(map(len, self.documents))
