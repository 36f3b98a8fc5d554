"""Maps each stream to the function that normalizes its records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from billingo_assets.normalize import documents
from billingo_assets.normalize.batches import NormalizedBatch
from billingo_assets.streams import DOCUMENTS, Stream

_NORMALIZERS: dict[str, Callable[[Sequence[tuple[int, bytes | str]]], NormalizedBatch]] = {
    DOCUMENTS.name: documents.normalize
}


def normalize(stream: Stream, records: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    """Turn (id, JSON text) pairs of a stream into the rows of its tables. No record content raises."""
    return _NORMALIZERS[stream.name](records)
