"""The columns of an exported table, for any format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Boolean, Date, DateTime, Integer, LargeBinary, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

Kind = Literal["number", "integer", "text", "json", "date", "moment", "boolean", "bytes"]

LEFT_OUT = {"api_key_encrypted"}

# JSON arrives as text, so that its numerals stay as sent.
_KINDS: tuple[tuple[type, Kind], ...] = (
    (DateTime, "moment"),
    (Date, "date"),
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Numeric, "number"),
    (LargeBinary, "bytes"),
    (Text, "text"),
    (JSONB, "json"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table: its name in the database, and its kind of value."""

    name: str
    kind: Kind

    @property
    def is_id(self) -> bool:
        """Whether its integers are ids, which nobody adds up."""
        return self.kind == "integer" and (self.name == "id" or self.name.endswith("_id"))


def columns_of(table: Table) -> list[Column]:
    """Return all columns of the table except secret ones, in their order."""
    return [_column(column.name, column.type) for column in table.columns if column.name not in LEFT_OUT]


def _column(name: str, sql_type: object) -> Column:
    for python_type, kind in _KINDS:
        if isinstance(sql_type, python_type):
            return Column(name, kind)
    raise NotImplementedError(f"the column {name} is of a type that exports do not know: {sql_type!r}")
