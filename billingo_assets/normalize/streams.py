"""Which function normalizes the records of which stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from billingo_assets.normalize import documents
from billingo_assets.normalize.batches import NormalizedBatch
from billingo_assets.streams import DOCUMENTS, Stream

_NORMALIZERS: dict[str, Callable[[Sequence[tuple[int, bytes | str]]], NormalizedBatch]] = {
    DOCUMENTS.name: documents.normalize
}


def normalize(stream: Stream, records: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    """Turn (id, JSON text) pairs of a stream into the rows of its tables; nothing in a record raises."""
    return _NORMALIZERS[stream.name](records)
