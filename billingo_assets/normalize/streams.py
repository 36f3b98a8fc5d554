"""Chooses how the records of a stream are normalized: by its declaration, unless it has rules of its own."""

from __future__ import annotations

from collections.abc import Sequence

from billingo_assets.normalize import documents
from billingo_assets.normalize.batches import NormalizedBatch
from billingo_assets.normalize.records import normalize_records
from billingo_assets.streams import DOCUMENTS, Stream


def normalize(stream: Stream, records: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    """Turn (id, JSON text) pairs of a stream into the rows of its tables. No record content raises."""
    if stream is DOCUMENTS:
        return documents.normalize(records)
    return normalize_records(stream, records)
