"""Reads a record of any form into rows, checking every value; the counterpart of `quick`.

An unreadable value of a column that a record can do without is noted; any other rejects the record, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from billingo_assets.normalize.batches import Row
from billingo_assets.normalize.values import (
    INTEGER,
    READERS,
    NotUnderstoodError,
    Reader,
    read_code,
    read_list,
    read_object,
    required,
    type_of,
)
from billingo_assets.streams.stream import Column


class RejectedError(ValueError):
    """The reason why a record is rejected."""


class Field(NamedTuple):
    """The place of a column in its row, its key in the object that holds it, the reader of its value, and its name.

    `is_essential`: an unreadable value rejects the record.
    """

    place: int
    key: str
    read: Reader
    column: str
    is_essential: bool


class Source(NamedTuple):
    """An object within a record: its path from the root, and the columns read from it."""

    path: tuple[str, ...]
    fields: list[Field]

    @property
    def is_essential(self) -> bool:
        """Whether one of its columns is essential."""
        return any(field.is_essential for field in self.fields)


class Sources(NamedTuple):
    """The columns of a row, by the object that holds their values, and how many they are."""

    number: int
    objects: list[Source]


def sources_of(columns: Iterable[Column], within: str = "") -> Sources:
    """Count the columns with a source under the prefix `within`, and group them by the object that holds them."""
    chosen = [column for column in columns if column.source.startswith(within)]
    fields: dict[tuple[str, ...], list[Field]] = {}
    for place, column in enumerate(chosen):
        read = read_code if column.is_code else READERS[column.kind]
        if not column.nullable:  # a key, and every key is an integer
            read = required(read, INTEGER)
        *path, key = column.source.removeprefix(within).split(".")
        field = Field(place, key, read, column.name, column.is_required)
        fields.setdefault(tuple(path), []).append(field)
    return Sources(len(chosen), [Source(path, found) for path, found in fields.items()])


_DECODER = msgspec.json.Decoder(float_hook=Decimal)

read_element = required(read_object, "an object")
"""Reads an element of a list; raises NotUnderstoodError unless it is an object."""


def decode_record(text: bytes | str, noun: str) -> dict[str, Any]:
    """Decode a record. Raises RejectedError unless it is an object; `noun` names the record in the reason."""
    try:
        record = _DECODER.decode(text)
    except RecursionError:
        raise RejectedError(f"the {noun} is nested too deeply to be read") from None
    except InvalidOperation:
        raise RejectedError(f"the {noun} holds a number with an exponent too large to be read") from None
    except UnicodeError:
        raise RejectedError(f"the {noun} is not valid UTF-8 text") from None
    except msgspec.DecodeError as error:
        raise RejectedError(f"the {noun} is not readable JSON: {error}") from None
    if type(record) is not dict:
        raise RejectedError(f"the {noun} is {type_of(record)}, not an object")
    return record


def read_row(root: dict[str, Any], columns: Sources, unreadable: list[str], within: str = "") -> Row:
    """Read one row, and add its unreadable columns to `unreadable`."""
    number, sources = columns
    row: Row = [None] * number
    for source in sources:
        where: tuple[str, ...] = ()
        key = ""
        holder = root
        try:
            for depth, key in enumerate(source.path):
                where = source.path[:depth]
                holder = read_object(holder.get(key))
        except NotUnderstoodError as error:
            if source.is_essential:
                raise _rejected(within, (*where, key), error) from None
            unreadable += [field.column for field in source.fields]
            continue
        for place, key, read, column, is_essential in source.fields:
            try:
                row[place] = read(holder.get(key))
            except NotUnderstoodError as error:
                if is_essential:
                    raise _rejected(within, (*source.path, key), error) from None
                unreadable.append(column)
    return row


def read_rows(value: object, field: str, table: str, columns: Sources, unreadable: list[str]) -> list[Row]:
    """Read the rows of `table` from a list, the value of `field`. Raises RejectedError if an element is no object."""
    rows: list[Row] = []
    missed: list[str] = []
    path = field
    try:
        for index, element in enumerate(read_list(value)):
            path = f"{field}[{index}]"
            rows.append(read_row(read_element(element), columns, missed, f"{path}."))
    except NotUnderstoodError as error:
        raise RejectedError(f"{path} {error}") from None
    unreadable += [f"{table}.{column}" for column in missed]
    return rows


def _rejected(within: str, path: tuple[str, ...], error: NotUnderstoodError) -> RejectedError:
    return RejectedError(f"{within}{'.'.join(path)} {error}")
