"""Parquet: exact, for archives and programs, with the same schema for every company."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from billingo_assets.companies.formats.columns import Column, Kind
from billingo_assets.companies.formats.writer import Note, Target, Writer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

PRECISION, SCALE = 38, 18
"""The type of all numbers of all companies: tools read the files of several companies together, with one type.

38 digits are the most that DuckDB, Spark, Polars and Power BI read.
"""
BESIDE = "numbers_as_text"
"""The column for numbers that do not fit: a JSON object of their digits by column; NULL if all of a row fit."""

_EXACT = Context(prec=2_000)


@contextmanager
def open_parquet(target: Target) -> Iterator[Writer]:
    """Write a table as Parquet."""
    from pyarrow import parquet

    schema = _schema(target.columns)
    with parquet.ParquetWriter(target.file, schema, compression="zstd") as writer:
        yield _Parquet(writer, schema, target.columns)


class _Parquet:
    def __init__(self, writer: ParquetWriter, schema: pa.Schema, columns: Sequence[Column]) -> None:
        self._writer = writer
        self._schema = schema
        self._columns = columns
        self.notes = Counter[Note]()

    def write(self, batch: Sequence[Sequence[Any]]) -> None:
        import pyarrow as pa

        columns: list[Sequence[Any]] = []
        beside: list[dict[str, str]] = [{} for _ in batch]
        for column, values in zip(self._columns, zip(*batch, strict=True), strict=True):
            columns.append(_fitting(column.name, values, beside) if column.kind == "number" else values)
        if BESIDE in self._schema.names:
            columns.append([json.dumps(digits) if digits else None for digits in beside])
            self.notes["numbers_as_text"] += sum(map(len, beside))
        arrays = [pa.array(values, field.type) for field, values in zip(self._schema, columns, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))


def _schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa

    types: dict[Kind, pa.DataType] = {
        "number": pa.decimal128(PRECISION, SCALE),
        "integer": pa.int64(),
        "text": pa.string(),
        "json": pa.string(),
        "date": pa.date32(),
        "moment": pa.timestamp("us", "UTC"),
        "boolean": pa.bool_(),
        "bytes": pa.binary(),
    }
    fields = [pa.field(column.name, types[column.kind]) for column in columns]
    if any(column.kind == "number" for column in columns):
        fields.append(pa.field(BESIDE, pa.string()))
    return pa.schema(fields)


def _fitting(name: str, values: Sequence[Decimal | None], beside: list[dict[str, str]]) -> list[Decimal | None]:
    """Return the numbers, with None for each that does not fit; its digits go to `beside`."""
    fitting: list[Decimal | None] = []
    for digits, value in zip(beside, values, strict=True):
        if value is None or _fits(value):
            fitting.append(value)
        elif value.is_finite() and _fits(shorter := value.normalize(_EXACT)):
            fitting.append(shorter)
        else:
            digits[name] = str(value)
            fitting.append(None)
    return fitting


def _fits(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -SCALE and value.adjusted() < PRECISION - SCALE
