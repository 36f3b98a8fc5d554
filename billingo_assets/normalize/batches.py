"""What normalization makes of some records, whatever their stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from billingo_assets.normalize.values import Value

Row = list[Value]
"""One row of a table: str, int, Decimal, date, bool or None, as a database driver takes them."""


class Rejection(NamedTuple):
    """A record that could not be normalized, and why: a sentence for people that quotes no text field."""

    record_id: int
    reason: str


class TableRows(NamedTuple):
    """Rows of one table, whose values are in the order of `columns`. The first value is the id of the record."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]


@dataclass(frozen=True, slots=True, eq=False)
class NormalizedBatch:
    """The rows that one batch makes in the tables of its stream, in their order, and the records that make none.

    The first table has a row for each record that was not rejected.
    """

    tables: tuple[TableRows, ...]
    rejections: list[Rejection]
