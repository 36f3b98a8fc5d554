"""The formats in which a company's tables are exported: one file for each table and format.

Callers choose the rows and the folder.
"""

from __future__ import annotations

from dataclasses import dataclass

from billingo_assets.companies.formats.delimited import open_csv, open_hungarian_csv
from billingo_assets.companies.formats.parquet import open_parquet
from billingo_assets.companies.formats.workbook import open_workbook
from billingo_assets.companies.formats.writer import Note, Open


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the ending of its files' names, and the function that opens a writer."""

    suffix: str
    open: Open


FORMATS = {
    "parquet": Format("parquet", open_parquet),
    "csv": Format("csv", open_csv),
    "csv-hu": Format("hu.csv", open_hungarian_csv),
    "xlsx": Format("xlsx", open_workbook),
}
DEFAULT_FORMATS = ("parquet", "csv")

NOTES: dict[Note, str] = {
    "numbers_as_text": "numbers written as text, because the format cannot hold them exactly",
    "texts_cut": "texts cut, because they are longer than a cell of a spreadsheet",
    "rows_past_a_sheet": "rows more than a spreadsheet opens",
}
"""The words of each note, after its number."""
