"""What holds of every document and every body, whatever is in them. No tests here."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx

from billingo_assets.billingo.answers import raise_for_answer
from billingo_assets.billingo.client import _decode_page
from billingo_assets.billingo.errors import BillingoError
from billingo_assets.billingo.unpacking import DamagedError, OverflowingError, read_body
from billingo_assets.streams import DOCUMENTS
from billingo_assets.streams.documents import INVOICE_ITEMS, INVOICES
from billingo_assets.streams.stream import UNREADABLE
from billingo_assets.sync.records import Unreadable, read_record
from billingo_assets.warehouse.raw_records import Record
from billingo_assets_tests.support.frames import normalize
from billingo_assets_tests.support.fuzz_mutations import mutated_bytes

MOST = 100


def check_document(payload: bytes) -> None:
    """It ends as stored and normalized, or as rejected for a reason; amounts have the value that was sent."""
    found = read_record(DOCUMENTS, payload)
    if isinstance(found, Unreadable):
        assert found.reason.isprintable()
        assert len(found.reason) < 300
        assert found.payload == payload
        return
    assert isinstance(found, Record)
    assert found.text.encode() == payload
    assert 0 < found.id < 2**63
    batch = normalize([(found.id, found.text)])
    assert len(batch.invoices) + len(batch.rejections) == 1
    for _, reason in batch.rejections:
        assert reason.isprintable()
        assert len(reason) < 300
    for frame in (batch.invoices, batch.items, batch.related):
        for value in frame.to_numpy().flat:
            if isinstance(value, str):
                assert "\0" not in value
                value.encode()
    if len(batch.invoices):
        sent = json.loads(found.text, parse_float=Decimal, parse_int=Decimal)
        stored = batch.invoices.iloc[0]
        unreadable = str(stored[UNREADABLE]).split(", ")
        for column in INVOICES.columns:
            if column.kind == "amount" and column.name not in unreadable:
                assert_exact(stored[column.name], _sent(sent, column.source))
        lines = sent.get("items") or []
        assert len(batch.items) == (len(lines) if isinstance(lines, list) else 0)
        for line, (_, row) in zip(lines, batch.items.iterrows(), strict=False):
            for column in INVOICE_ITEMS.columns:
                if column.kind == "amount":
                    assert_exact(row[column.name], _sent(line, column.source.removeprefix("items[].")))


def _sent(holder: Any, source: str) -> Any:
    for key in source.split("."):
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder


def assert_exact(stored: Decimal | None, sent: Any) -> None:
    """Digit by digit; nothing at all is None."""
    if sent is None or (isinstance(sent, str) and not sent.strip()):
        assert stored is None
        return
    assert stored is not None
    assert stored == Decimal(sent)
    assert stored.as_tuple()[1:] == Decimal(sent).as_tuple()[1:]


def check_body(body: bytes) -> None:
    """A body ends as a page whose every document ends well, or in an error of ours in a line."""
    try:
        raise_for_answer(200, httpx.Headers(), body)
        envelope = _decode_page(body, MOST)
    except BillingoError as error:
        told = str(error)
    else:
        assert 0 <= envelope.total < 2**31
        assert len(envelope.data) <= MOST
        for document in envelope.data:
            check_document(bytes(document))
        return
    assert told.isprintable()
    assert len(told) < 600


def check_packed(body: bytes, seed: int) -> None:
    """A damaged gzip is told, or unpacks to no more than is allowed."""
    draw = random.Random(seed)
    packed = mutated_bytes(zlib.compress(body, wbits=31), draw)
    most = draw.choice((10, 1000, 100_000))
    try:
        found = read_body(_pieces(packed, draw.randint(1, 5000)), encoding="gzip", most=most)
    except (DamagedError, OverflowingError):
        return
    assert len(found) <= most


def _pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))
