"""Reads one record of a page just far enough to store it: its id and hash; a document's number and count of lines.

Records that cannot be stored are recognized here. `normalize` reads the meaning of their fields.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec

from billingo_assets.billingo.salvage import members
from billingo_assets.normalize.numbering import MAX_ID, NUMBER_FIELDS, UNNUMBERED, Numbering, numbering_of
from billingo_assets.streams import Stream
from billingo_assets.streams.stream import Clock
from billingo_assets.warehouse.raw_records import Record

MAX_RECORD_BYTES = 16 * 2**20
"""The default size limit of a record that is stored."""
MAX_NUMBER_PLACES = 2_000
"""The most digits of a number, and its largest exponent: `1e999999` written out would be a megabyte.

It is beyond any amount that can be read.
"""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of a NUL character; after an odd number of backslashes it is the text `\\u0000`."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be stored, and why. `id` is None if it has no usable one.

    `content_hash` covers its content, or all that was sent if the content cannot be read. The number of a document is
    kept as far as it can be read.
    """

    id: int | None
    payload: bytes
    reason: str
    content_hash: bytes
    numbering: Numbering = UNNUMBERED


class _UnstorableError(Exception):
    """Why a record cannot be stored. Not a ValueError: the decoder would report that as malformed JSON."""


class _Sketch(msgspec.Struct):
    """The fields that are read here, with the API's types."""

    id: int


class _NumberedSketch(_Sketch):
    """Those of a stream whose records have numbers and lines."""

    items: list[msgspec.Raw] | None = None
    block_id: int | None = None
    invoice_number: str | None = None
    invoice_date: str | None = None
    type: str | None = None


_ABSURD_NUMBER = "it holds a number that is out of all proportion"
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_record(stream: Stream, payload: bytes, max_bytes: int = MAX_RECORD_BYTES) -> Record | Unreadable:
    """Read one record as sent, of `max_bytes` at most. Nothing that a page can hold raises.

    Numbers are not checked: if PostgreSQL refuses one, `why_unstorable` finds the reason.
    """
    sketcher = _sketcher(stream)
    try:
        sketch = sketcher.decoder.decode(payload)
        text = payload.decode()
        content_hash = sketcher.content_hash(payload, sketch)
    except (ValueError, RecursionError):
        return _read_otherwise(stream, payload, max_bytes)
    if not 0 < sketch.id <= MAX_ID or len(payload) > max_bytes or _holds_nul(payload):
        return _read_otherwise(stream, payload, max_bytes)
    if not stream.is_numbered:
        return Record(sketch.id, text, content_hash)
    fields = {
        "block_id": sketch.block_id,
        "invoice_number": sketch.invoice_number,
        "invoice_date": sketch.invoice_date,
        "type": sketch.type,
    }
    return Record(sketch.id, text, content_hash, len(sketch.items or ()), numbering_of(fields))


def why_unstorable(stream: Stream, record: Record, max_bytes: int = MAX_RECORD_BYTES) -> Unreadable:
    """Find out why PostgreSQL refuses a record that `read_record` accepted."""
    payload = record.text.encode()
    strict = _read_otherwise(stream, payload, max_bytes)
    if isinstance(strict, Unreadable):
        return strict
    reason = f"The {stream.noun} cannot be stored: PostgreSQL refuses its JSON."
    return Unreadable(record.id, payload, reason, record.content_hash, record.numbering)


@dataclass(frozen=True, slots=True)
class _Sketcher:
    """Decodes the fields that are read here, and the two of the stream's `Clock`."""

    decoder: msgspec.json.Decoder[Any]
    clock: Clock | None

    def content_hash(self, payload: bytes, sketch: Any) -> bytes:
        """SHA-256 of the record as sent, without a field that follows the clock. Raises ValueError, RecursionError."""
        if self.clock is None:
            return hashlib.sha256(payload).digest()
        return _content_hash(self.clock, payload, sketch.clock_status, bytes(sketch.clock_field))


@cache
def _sketcher(stream: Stream) -> _Sketcher:
    clock = stream.clock
    base = _NumberedSketch if stream.is_numbered else _Sketch
    if clock is None:
        return _Sketcher(msgspec.json.Decoder(base), None)
    kind = msgspec.defstruct(
        "_ClockedSketch",
        [("clock_status", str | None, None), ("clock_field", msgspec.Raw, msgspec.Raw(b""))],
        bases=(base,),
        rename={"clock_status": clock.unless, "clock_field": clock.field},
    )
    return _Sketcher(msgspec.json.Decoder(kind), clock)


def content_hash_of(stream: Stream, payload: bytes) -> bytes:
    """SHA-256 of a record's content, or of all that was sent if the content cannot be read."""
    clock = stream.clock
    if clock is None:
        return hashlib.sha256(payload).digest()
    try:
        status = msgspec.json.decode(_members_decoder.decode(payload).get(clock.unless, b"null"))
        return _content_hash(clock, payload, status)
    except (ValueError, RecursionError):
        return hashlib.sha256(payload).digest()


def _content_hash(clock: Clock, payload: bytes, status: object, field: bytes | None = None) -> bytes:
    """SHA-256 of the record as sent, without a field that follows the clock. Raises ValueError, RecursionError.

    `field` is the value of that field as sent: empty if the record has none; None if unknown.
    """
    if clock.runs_in(status) and field != b"":
        cut = None if field is None else _cut(payload, b'"%b":%b' % (clock.field.encode(), field))
        if cut is None:
            members = _members_decoder.decode(payload)
            members.pop(clock.field, None)
            cut = msgspec.json.encode(members)
        payload = cut
    return hashlib.sha256(payload).digest()


def _cut(payload: bytes, member: bytes) -> bytes | None:
    """The record without one of its members, spelled as `json.encode` would; None if it takes more than a cut.

    A name in quotation marks that occurs once in the record is the member itself: in a text the quotation marks would
    be escaped.
    """
    name, _, _ = member.partition(b":")
    at = payload.find(member)
    if at < 0 or payload.count(name) != 1:
        return None
    end = at + len(member)
    if payload[end : end + 1] == b",":
        return payload[:at] + payload[end + 1 :]
    return payload[: at - 1] + payload[end:] if payload[at - 1 : at] == b"," else None


def _read_otherwise(stream: Stream, payload: bytes, max_bytes: int) -> Record | Unreadable:
    """Read a record of an unusual form: strictly, and every value."""
    try:
        record = _decode(payload, max_bytes)
        record_id = _usable_id(record.get("id"))
    except _UnstorableError as error:
        left = read_remains(payload)
        reason = f"The {stream.noun} cannot be stored: {error}."
        numbering = numbering_of(left) if stream.is_numbered else UNNUMBERED
        return Unreadable(_id_alone(left), payload, reason, content_hash_of(stream, payload), numbering)
    content_hash = content_hash_of(stream, payload)
    if not stream.is_numbered:
        return Record(record_id, payload.decode(), content_hash)
    items = record.get("items")
    item_count = len(items) if isinstance(items, list) else 0
    return Record(record_id, payload.decode(), content_hash, item_count, numbering_of(record))


def read_remains(payload: bytes) -> dict[str, Any]:
    """Read the id and the fields of the number from a document that cannot be read as a whole, as far as possible."""
    try:
        found = members(payload, {"id", *NUMBER_FIELDS})
    except ValueError:
        return {}
    left = {}
    for name, value in found.items():
        with suppress(ValueError, RecursionError):
            left[name] = msgspec.json.decode(value)
    return left


def _require_proportionate(literal: str) -> None:
    if len(literal) > MAX_NUMBER_PLACES or abs(Decimal(literal).adjusted()) > MAX_NUMBER_PLACES:
        raise _UnstorableError(_ABSURD_NUMBER)


_strict_decoder = msgspec.json.Decoder(float_hook=_require_proportionate)


def _decode(payload: bytes, max_bytes: int) -> dict[str, Any]:
    if len(payload) > max_bytes:
        raise _UnstorableError(f"it is larger than {max_bytes // 2**20} MiB (BILLINGO_MAX_DOCUMENT_MIB)")
    try:
        record = _strict_decoder.decode(payload)
    except RecursionError:
        raise _UnstorableError("it is nested too deeply") from None
    except (InvalidOperation, msgspec.ValidationError):  # ValueError for an integer of thousands of digits
        raise _UnstorableError(_ABSURD_NUMBER) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _UnstorableError("it is not well-formed JSON in UTF-8") from None
    if not isinstance(record, dict):
        raise _UnstorableError("it is not an object")
    if _holds_nul(payload):
        raise _UnstorableError("it holds a NUL character, which PostgreSQL cannot store")
    return record


def _holds_nul(payload: bytes) -> bool:
    return b"\\u0000" in payload and _NUL.search(payload) is not None


def _usable_id(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_ID:
        raise _UnstorableError("it has no usable id")
    return value


def _id_alone(left: dict[str, Any]) -> int | None:
    """The id of a record that cannot be read as a whole, so that its older version does not count as deleted."""
    with suppress(_UnstorableError):
        return _usable_id(left.get("id"))
    return None
