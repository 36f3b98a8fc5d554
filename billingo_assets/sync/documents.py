"""Reads one document of a page just far enough to store it: its id, its hash, how many items it has.

What its fields mean is `normalize`'s subject. What cannot be stored at all is told apart here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from billingo_assets.billingo.salvage import members

MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_NUMBER_PLACES = 400
"""A fraction of more digits, or so far from 1, is refused: `1e999999` written out would be a megabyte."""
MAX_ID = 2**63 - 1

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of a NUL character; after an odd number of backslashes it is the text `\\u0000`."""


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


_ABSURD_NUMBER = "it holds a number that is out of all proportion"


def _canonical_number(literal: str) -> msgspec.Raw:
    """One spelling for `1`, `1.0` and `10e-1`: the same amount must not look like a change of the document."""
    number = Decimal(literal)
    if len(literal) > MAX_NUMBER_PLACES or abs(number.adjusted()) > MAX_NUMBER_PLACES:
        raise _UnstorableError(_ABSURD_NUMBER)
    digits = f"{number:f}"
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return msgspec.Raw(b"0" if digits == "-0" else digits.encode())


_decoder = msgspec.json.Decoder(float_hook=_canonical_number)
_encoder = msgspec.json.Encoder(order="sorted")


def read_document(payload: bytes) -> Document | Unreadable:
    """Read one document as sent. Never raises for anything a page can hold."""
    try:
        document = _decode(payload)
        document_id = _usable_id(document.get("id"))
        content_hash = hashlib.sha256(_encoder.encode(document)).digest()
    except _UnstorableError as error:
        return Unreadable(_id_alone(payload), payload, f"The document cannot be stored: {error}.")
    items = document.get("items")
    return Document(document_id, payload, content_hash, len(items) if isinstance(items, list) else 0)


def _decode(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_DOCUMENT_BYTES:
        raise _UnstorableError(f"it is larger than {MAX_DOCUMENT_BYTES // 2**20} MiB")
    try:
        document = _decoder.decode(payload)
    except RecursionError:
        raise _UnstorableError("it is nested too deeply") from None
    except (InvalidOperation, msgspec.ValidationError):  # the latter for an integer of thousands of digits
        raise _UnstorableError(_ABSURD_NUMBER) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _UnstorableError("it is not well-formed JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise _UnstorableError("it is not an object")
    if b"\\u0000" in payload and _NUL.search(payload):
        raise _UnstorableError("it holds a NUL character, which PostgreSQL cannot store")
    return document


def _usable_id(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_ID:
        raise _UnstorableError("it has no usable id")
    return value


def _id_alone(payload: bytes) -> int | None:
    """The id of a document that cannot be read as a whole, so that its older version is not taken for deleted."""
    try:
        return _usable_id(msgspec.json.decode(members(payload).get("id", b"null")))
    except (ValueError, RecursionError, _UnstorableError):
        return None
