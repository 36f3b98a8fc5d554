"""The forms in which a company's tables are exported: one file for each table and form.

Which rows there are, and where the files go, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

from billingo_assets.companies.formats.delimited import open_csv, open_hungarian_csv
from billingo_assets.companies.formats.parquet import open_parquet
from billingo_assets.companies.formats.workbook import open_workbook
from billingo_assets.companies.formats.writer import Note, Open


@dataclass(frozen=True, slots=True)
class Format:
    """A form: how its files' names end, and what writes one."""

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
"""What each note says after its number."""
