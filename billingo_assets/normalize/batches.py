"""The result of normalizing a batch of records of any stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from billingo_assets.normalize.values import Value

Row = list[Value]
"""One row of a table: str, int, Decimal, date, bool or None, as a database driver takes them."""


class Rejection(NamedTuple):
    """A record that could not be normalized. The reason is a sentence for people and quotes no text field."""

    record_id: int
    reason: str


class TableRows(NamedTuple):
    """Rows of one table, with values in the order of `columns`. The first value is the id of the record."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]


@dataclass(frozen=True, slots=True, eq=False)
class NormalizedBatch:
    """The rows of one batch, by table of its stream and in their order, and the rejected records.

    The first table has a row for each record that was not rejected.
    """

    tables: tuple[TableRows, ...]
    rejections: list[Rejection]
