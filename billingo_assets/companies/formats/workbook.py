"""Excel workbooks with real numbers, dates and texts, to look at and compute with.

No cell is a formula. Values that a spreadsheet cannot hold exactly become text: numbers of more than 15 digits, times,
which have a zone and microseconds, and dates before March 1900. So do ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billingo_assets.companies.formats import spreadsheet
from billingo_assets.companies.formats.columns import Column, Kind
from billingo_assets.companies.formats.writer import Note, Target, Writer

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

WIDTHS: dict[Kind, int] = {"number": 14, "integer": 8, "date": 11, "moment": 32, "boolean": 8, "bytes": 24, "json": 40}
WIDEST = 44
ROOM_FOR_FILTER = 4
"""Characters of a heading that the filter's button covers."""


@contextmanager
def open_workbook(target: Target) -> Iterator[Writer]:
    """Write a table as a workbook of one sheet, or of more if the rows do not fit into one."""
    from xlsxwriter import Workbook

    # Write each row to a temporary file at once; unshared strings make the file a little larger.
    options = {"constant_memory": True, "tmpdir": str(target.scratch), "default_date_format": "yyyy-mm-dd"}
    book = Workbook(target.file, options)
    book.use_zip64()
    writer = _Workbook(book, target.table, target.columns)
    yield writer
    writer.end_sheet()
    book.close()


class _Workbook:
    def __init__(self, book: Workbook, table: str, columns: Sequence[Column]) -> None:
        self.notes = Counter[Note]()
        self._book = book
        self._table = table
        self._columns = columns
        self._text_format = book.add_format({"num_format": "@"})
        self._heading = book.add_format({"bold": True, "bg_color": "#DDE6F0", "bottom": 1})
        # Excel shows a boolean in any format; LibreOffice would show a number.
        self._boolean_format = book.add_format({"num_format": '"TRUE";"TRUE";"FALSE"'})
        self._number_formats: dict[int, Format] = {}
        self._writes = [self._write_of(column) for column in columns]
        self._widths = [max(WIDTHS.get(one.kind, 0), len(one.name) + ROOM_FOR_FILTER) for one in columns]
        self._sheet = self._begin_sheet()
        self._row = 1

    def write(self, batch: Sequence[Sequence[Any]]) -> None:
        if self._row == 1:
            self._widen(batch)
        for values in batch:
            if self._row == spreadsheet.MAX_ROWS:
                self.end_sheet()
                self._sheet = self._begin_sheet()
                self._row = 1
            for index, (write, value) in enumerate(zip(self._writes, values, strict=True)):
                if value is not None:
                    write(self._row, index, value)
            self._row += 1

    def end_sheet(self) -> None:
        last = len(self._columns) - 1
        self._sheet.autofilter(0, 0, max(self._row - 1, 1), last)
        for index, width in enumerate(self._widths):
            self._sheet.set_column(index, index, width)

    def _begin_sheet(self) -> Worksheet:
        number = len(self._book.worksheets()) + 1
        sheet = self._book.add_worksheet(self._table if number == 1 else f"{self._table} ({number})")
        sheet.freeze_panes(1, 0)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{spreadsheet.MAX_ROWS}"})  # they are meant to be
        for index, column in enumerate(self._columns):
            sheet.write_string(0, index, column.name, self._heading)
        return sheet

    def _widen(self, batch: Sequence[Sequence[Any]]) -> None:
        for index, column in enumerate(self._columns):
            if column.kind == "text":
                widest = max((len(row[index]) for row in batch if row[index] is not None), default=0)
                self._widths[index] = max(self._widths[index], min(widest + 1, WIDEST))

    def _write_of(self, column: Column) -> Callable[[int, int, Any], None]:
        writes: dict[Kind, Callable[[int, int, Any], None]] = {
            "number": self._write_number,
            "integer": self._write_id if column.is_id else self._write_number,
            "text": self._write_text,
            "json": self._write_text,
            "date": self._write_date,
            "moment": self._write_moment,
            "boolean": self._write_boolean,
            "bytes": self._write_bytes,
        }
        return writes[column.kind]

    def _write_number(self, row: int, index: int, value: Decimal | int) -> None:
        if spreadsheet.fits_number(value):
            self._sheet.write_number(row, index, value, self._format_of(value))
        else:
            self.notes["numbers_as_text"] += 1
            self._write_text(row, index, str(value))

    def _format_of(self, value: Decimal | int) -> Format:
        """Return a format that shows all decimals as sent: with fewer, the cell would look rounded."""
        exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
        places = max(0, -exponent) if isinstance(exponent, int) else 0
        if places not in self._number_formats:
            pattern = "General" if places > spreadsheet.MAX_DIGITS else f"#,##0{'.' if places else ''}{'0' * places}"
            self._number_formats[places] = self._book.add_format({"num_format": pattern})
        return self._number_formats[places]

    def _write_id(self, row: int, index: int, value: int) -> None:
        self._write_text(row, index, str(value))

    def _write_text(self, row: int, index: int, value: str) -> None:
        if not spreadsheet.fits_text(value):
            self.notes["texts_cut"] += 1
            value = spreadsheet.cut(value)
        if value.startswith("<r>") and value.endswith("</r>"):
            # XlsxWriter would treat it as its own markup, unless it is in two pieces.
            self._sheet.write_rich_string(row, index, value[:1], self._text_format, value[1:], self._text_format)
        else:
            self._sheet.write_string(row, index, value, self._text_format)

    def _write_date(self, row: int, index: int, value: date) -> None:
        if value >= spreadsheet.FIRST_DATE:
            self._sheet.write_datetime(row, index, value)
        else:
            self._write_text(row, index, value.isoformat())

    def _write_moment(self, row: int, index: int, value: datetime) -> None:
        self._write_text(row, index, value.astimezone(UTC).isoformat())

    def _write_boolean(self, row: int, index: int, value: bool) -> None:
        self._sheet.write_boolean(row, index, value, self._boolean_format)

    def _write_bytes(self, row: int, index: int, value: bytes) -> None:
        self._write_text(row, index, value.hex())
