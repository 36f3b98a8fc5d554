"""CSV in two dialects: one for programs, and one that a Hungarian spreadsheet opens with a double click.

Both begin with a byte order mark, without which Excel garbles accents, and neither contains a text that a spreadsheet
runs as a formula. The Hungarian one has `;` as separator and a decimal comma, and puts an apostrophe before a text that
a spreadsheet would turn into a number, a date or the like. Excel and LibreOffice show that apostrophe; they would hide
a formula (`="3.14"`) or a blank, which everybody would copy unseen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, TextIO

from billingo_assets.companies.formats import spreadsheet
from billingo_assets.companies.formats.columns import Column
from billingo_assets.companies.formats.writer import Note, Target, Writer

FORMULA = re.compile(
    r"""
    ( (?: \A | [;,\t\r\n\v\f\x85\u2028\u2029] )           # where a cell may begin
      [\s"\x00-\x1f\x7f\xad\u200b-\u200f\u2060\ufeff]*+ )  # what it may drop there
    ( [=+\-@\uff1d\uff0b\uff0d\uff20]? )                   # full-width ones count as well
    """,
    re.VERBOSE,
)
"""The beginnings of cells that a spreadsheet runs as a formula, which may do anything.

Excel splits at `;` if the decimal mark is a comma, as in Hungarian; a quote inside such a cell then quotes nothing.
"""


@contextmanager
def open_csv(target: Target) -> Iterator[Writer]:
    """Write a table as CSV with `,` and decimal points."""
    with _lines_of(target) as lines:
        yield _Csv(lines, target.columns)


@contextmanager
def open_hungarian_csv(target: Target) -> Iterator[Writer]:
    """Write a table as CSV with `;` and decimal commas, for a spreadsheet."""
    with _lines_of(target) as lines:
        yield _HungarianCsv(lines, target.columns)


@contextmanager
def _lines_of(target: Target) -> Iterator[TextIO]:
    lines = TextIOWrapper(target.file, encoding="utf-8-sig", newline="")
    yield lines
    lines.flush()
    lines.detach()  # the caller closes the file


class _Csv:
    separator = ","

    def __init__(self, lines: TextIO, columns: Sequence[Column]) -> None:
        self.notes = Counter[Note]()
        self._lines = lines
        self._cells = [self._cell_of(column) for column in columns]
        lines.write(self._line(column.name for column in columns))

    def write(self, batch: Sequence[Sequence[Any]]) -> None:
        self._lines.writelines(
            self._line("" if value is None else cell(value) for cell, value in zip(self._cells, row, strict=True))
            for row in batch
        )

    def _line(self, cells: Iterable[str]) -> str:
        return f"{self.separator.join(cells)}\r\n"

    def _cell_of(self, column: Column) -> Callable[[Any], str]:
        cells: dict[str, Callable[[Any], str]] = {
            "number": self._number,
            "integer": self._number,
            "text": self._text,
            "json": self._text,
            "date": self._date,
            "moment": _utc,
            "boolean": self._boolean,
            "bytes": self._bytes,
        }
        return cells[column.kind]

    def _number(self, value: Decimal | int) -> str:
        return f"{value:f}" if isinstance(value, Decimal) else str(value)

    def _text(self, value: str) -> str:
        return _quoted(_without_formulas(value))

    def _date(self, value: date) -> str:
        return value.isoformat()

    def _boolean(self, value: bool) -> str:
        return str(value)

    def _bytes(self, value: bytes) -> str:
        return value.hex()


class _HungarianCsv(_Csv):
    separator = ";"

    def __init__(self, lines: TextIO, columns: Sequence[Column]) -> None:
        super().__init__(lines, columns)
        self._room = spreadsheet.MAX_ROWS - 1

    def write(self, batch: Sequence[Sequence[Any]]) -> None:
        super().write(batch)
        self._room -= len(batch)
        if self._room < 0:
            self.notes["rows_past_a_sheet"] = -self._room

    def _number(self, value: Decimal | int) -> str:
        if spreadsheet.fits_number(value):
            return super()._number(value).replace(".", ",")
        self.notes["numbers_as_text"] += 1
        return _quoted(f"'{value}".replace(".", ","))

    def _text(self, value: str) -> str:
        if not spreadsheet.fits_text(value):
            self.notes["texts_cut"] += 1
            value = spreadsheet.cut(value)
        harmless = _without_formulas(value)
        if harmless == value and spreadsheet.is_taken_for_a_value(value):
            harmless = f"'{value}"
        return _quoted(harmless)

    def _date(self, value: date) -> str:
        return value.isoformat() if value >= spreadsheet.FIRST_DATE else _quoted(f"'{value}")

    def _boolean(self, value: bool) -> str:
        return "IGAZ" if value else "HAMIS"

    def _bytes(self, value: bytes) -> str:
        return self._text(value.hex())


def _without_formulas(text: str) -> str:
    return FORMULA.sub(lambda found: f"{found[1]}'{found[2]}" if found[2] else found[1], text)


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""'))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
