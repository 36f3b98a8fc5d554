"""Normalizes the records of a stream by its declaration alone: a row for each record, and rows for the lists in it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import localcontext
from functools import cache
from typing import NamedTuple

from billingo_assets.normalize.batches import NormalizedBatch, Rejection, Row, TableRows
from billingo_assets.normalize.thorough import (
    RejectedError,
    Sources,
    decode_record,
    read_row,
    read_rows,
    sources_of,
)
from billingo_assets.normalize.values import MOST_DIGITS
from billingo_assets.streams import Stream
from billingo_assets.streams.stream import UNREADABLE


class _List(NamedTuple):
    """A list within a record, and the columns of each element."""

    table: str
    field: str
    sources: Sources


def normalize_records(stream: Stream, records: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    """Turn (id, JSON text) pairs into the rows of the stream's tables.

    Each record becomes one row of the first table, in the order given, or one rejection; nothing it holds raises.
    """
    rows: list[Row] = []
    details: list[list[Row]] = [[] for _ in stream.details]
    rejections: list[Rejection] = []
    with localcontext(prec=MOST_DIGITS):
        for record_id, text in records:
            try:
                row, parts = _read(stream, text, record_id)
            except RejectedError as rejected:
                rejections.append(Rejection(record_id, str(rejected)))
                continue
            rows.append(row)
            for detail, part in zip(details, parts, strict=True):
                detail += [[record_id, position, *values] for position, values in enumerate(part, 1)]
    tables = (
        TableRows(stream.table.name, (*stream.table.column_names, UNREADABLE), rows),
        *(
            TableRows(table.name, table.column_names, detail)
            for table, detail in zip(stream.details, details, strict=True)
        ),
    )
    return NormalizedBatch(tables, rejections)


def _read(stream: Stream, text: bytes | str, record_id: int) -> tuple[Row, list[list[Row]]]:
    """Read the row of one record, and those of each of its lists. Raises RejectedError."""
    record = decode_record(text, stream.noun)
    unreadable: list[str] = []
    row = read_row(record, _columns(stream), unreadable)
    if row[0] != record_id:
        raise RejectedError(f"id is {row[0]}, not {record_id}, under which the {stream.noun} is stored")
    parts = [read_rows(record.get(one.field), one.field, one.table, one.sources, unreadable) for one in _lists(stream)]
    return [*row, ", ".join(dict.fromkeys(unreadable)) or None], parts


@cache
def _columns(stream: Stream) -> Sources:
    return sources_of(stream.table.columns)


@cache
def _lists(stream: Stream) -> tuple[_List, ...]:
    """The lists of a stream. The columns of their tables are the record's id, the position, then values."""
    found = []
    for table in stream.details:
        _, position, *_ = table.columns
        field = position.source.removesuffix("[]")
        found.append(_List(table.name, field, sources_of(table.columns, within=f"{field}[].")))
    return tuple(found)
