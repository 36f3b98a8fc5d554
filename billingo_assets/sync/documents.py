"""Reads one document of a page just far enough to store it: its id, its hash, how many items it has.

What its fields mean is `normalize`'s subject. What cannot be stored at all is told apart here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_NUMBER_EXPONENT = 400
"""A number of more places is refused: written out, `1e999999` would be a megabyte."""
MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Document:
    """A document that can be stored: `payload` is its JSON as sent, `content_hash` the SHA-256 of its meaning."""

    id: int
    payload: bytes
    content_hash: bytes
    items: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be stored, and why. `id` is None when it has no usable one."""

    id: int | None
    payload: bytes
    reason: str

    @property
    def content_hash(self) -> bytes:
        """SHA-256 of the document as sent."""
        return hashlib.sha256(self.payload).digest()


class _UnstorableError(Exception):
    """Why a document cannot be stored. Not a ValueError: the decoder would take that for malformed JSON."""


def _canonical_number(literal: str) -> msgspec.Raw:
    """One spelling for `1`, `1.0` and `10e-1`: the same amount must not look like a change of the document."""
    number = Decimal(literal)
    if abs(number.adjusted()) > MAX_NUMBER_EXPONENT:
        raise _UnstorableError("it holds a number that is out of all proportion")
    digits = f"{number:f}"
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return msgspec.Raw(b"0" if digits == "-0" else digits.encode())


_decoder = msgspec.json.Decoder(float_hook=_canonical_number)
_encoder = msgspec.json.Encoder(order="sorted")


def read_document(payload: bytes) -> Document | Unreadable:
    """Read one document as sent. Never raises for anything a page can hold."""
    document_id: int | None = None
    try:
        document = _decode(payload)
        document_id = _id(document)
        _refuse_nul(payload, document)
        content_hash = hashlib.sha256(_encoder.encode(document)).digest()
    except _UnstorableError as error:
        return Unreadable(document_id, payload, f"The document cannot be stored: {error}.")
    items = document.get("items")
    return Document(document_id, payload, content_hash, len(items) if isinstance(items, list) else 0)


def _decode(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_DOCUMENT_BYTES:
        raise _UnstorableError(f"it is larger than {MAX_DOCUMENT_BYTES // 2**20} MiB")
    try:
        document = _decoder.decode(payload)
    except RecursionError:
        raise _UnstorableError("it is nested too deeply") from None
    except InvalidOperation:
        raise _UnstorableError("it holds a number that is out of all proportion") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _UnstorableError("it is not well-formed JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise _UnstorableError("it is not an object")
    return document


def _id(document: dict[str, Any]) -> int:
    document_id = document.get("id")
    if isinstance(document_id, str) and document_id.isascii() and document_id.isdigit() and len(document_id) < 20:
        document_id = int(document_id)
    if not isinstance(document_id, int) or isinstance(document_id, bool) or not 0 < document_id <= MAX_ID:
        raise _UnstorableError("it has no usable id")
    return document_id


def _refuse_nul(payload: bytes, document: object) -> None:
    if b"\\u0000" in payload and _holds_nul(document):
        raise _UnstorableError("it holds a NUL character, which PostgreSQL cannot store")


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any(_holds_nul(part) for pair in value.items() for part in pair)
        case list():
            return any(_holds_nul(part) for part in value)
        case _:
            return False
