"""The formats of an export: what each holds exactly, what becomes of the rest, and what a spreadsheet makes of them.

Those that open a file in LibreOffice do so with Hungarian settings.
"""

from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import dataset, parquet

from billingo_assets.companies.formats import FORMATS, spreadsheet
from billingo_assets.companies.formats.columns import Column
from billingo_assets.companies.formats.writer import Target
from billingo_assets_tests.support.office import Cell, sheets

COLUMNS = (
    Column("company_id", "integer"),
    Column("invoice_number", "text"),
    Column("gross_total", "number"),
    Column("position", "integer"),
    Column("invoice_date", "date"),
    Column("synced_at", "moment"),
    Column("cancelled", "boolean"),
    Column("content_hash", "bytes"),
    Column("payload", "json"),
)

TURNED = (
    *(
        "3.14",
        "1.5.",
        "1/2026",
        "2026/1",
        "2026-12",
        "1-2",
        "1 1/2",
        "0012",
        "1E5",
        "12e3",
        "100%",
        "(5)",
        "1 000",
        "10:30",
    ),
    *(
        "117730161111101800000000",
        "2026. január 5.",
        "május 1",
        "Mar 5",
        "5 Ft",
        "€5",
    ),
    *("TRUE", "IGAZ", "hamis", "#N/A", "#HIÁNYZIK", "½", "2026-01-05T10:00:00Z", "K 2026. május 5.", " 7 ", "\xa0007"),
)
"""Texts that Excel or LibreOffice makes something else of, in Hungarian or English."""
SAFE = (
    "Őzön Vízió Bt.",
    "INV-2026/000123",
    "12345678-2-41",
    "11773016-11111018-00000000",
    "Tanácsadás, 2026. május",
    "C vitamin 3.14",
    "'idézet'",
    "x",
    "Mátyás",
)
FORMULAS = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+36 30 123 4567",
    "-1+1",
    '=HYPERLINK("http://evil")',
    "\t=1",
    " =1",
)
WILD = (
    *(
        "a\x01b\x1fc\x7fd",
        "_x0041_",
        "_x000D_",
        "\ufffe\uffff",
        "<r><t>bold</t></r>",
        "<r>",
        "</r>",
        "&lt;<>\"'&",
        "]]>",
    ),
    *("two\nlines", "carriage\rreturn", "  spaces  ", "😀 𝄞", "a;b,c\td", "http://example.com", "0x1F", "א‏ב"),
)


def row(**values: Any) -> list[Any]:
    """A row of the table, empty but for these values."""
    return [values.get(column.name) for column in COLUMNS]


def written(
    folder: Path, form: str, rows: Sequence[Sequence[Any]], columns: Sequence[Column] = COLUMNS, table: str = "invoices"
) -> tuple[Path, Mapping[str, int]]:
    """Write the rows in that form; the file, and the notes about it."""
    path = folder / f"{table}.{FORMATS[form].suffix}"
    with path.open("wb") as file, FORMATS[form].open(Target(file, table, columns, folder)) as writer:
        for start in range(0, len(rows), 100):
            writer.write(rows[start : start + 100])
    return path, +writer.notes


def column(cells: Sequence[Sequence[Cell | None]], name: str) -> list[Cell | None]:
    """What is under a heading."""
    index = [cell.value if cell else "" for cell in cells[0]].index(name)
    return [line[index] if index < len(line) else None for line in cells[1:]]


def opened(folder: Path, form: str, **values: Sequence[Any]) -> dict[str, list[Cell | None]]:
    """What LibreOffice finds in the columns that were written with these values."""
    rows = [row(position=1, **dict(zip(values, line, strict=True))) for line in zip(*values.values(), strict=True)]
    (cells,) = sheets(written(folder, form, rows)[0], folder).values()
    return {name: column(cells, name) for name in values}


@pytest.mark.parametrize("form", ["xlsx", "csv-hu"])
def test_a_hungarian_spreadsheet_turns_no_text_into_anything_else(form: str, tmp_path: Path) -> None:
    texts = [*TURNED, *SAFE, *FORMULAS, *WILD]
    found = opened(tmp_path, form, invoice_number=texts)["invoice_number"]
    for text, cell in zip(texts, found, strict=True):
        assert cell is not None
        assert (cell.kind, cell.is_formula) == ("string", False), text
        shown = _as_libreoffice_keeps(text)
        if form == "xlsx" or text in SAFE:
            assert cell.value == shown
        elif text not in WILD:
            assert cell.value.replace("'", "", 1) == shown
            assert cell.value != shown


def _as_libreoffice_keeps(text: str) -> str:
    """It does without characters that XML forbids."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)


@pytest.mark.parametrize("text", TURNED)
def test_a_text_that_a_spreadsheet_would_turn_is_known(text: str) -> None:
    assert spreadsheet.is_taken_for_a_value(text)


@pytest.mark.parametrize("text", SAFE)
def test_a_text_that_no_spreadsheet_turns_is_left_alone(text: str) -> None:
    assert not spreadsheet.is_taken_for_a_value(text)


PIECES = (
    *"00112233445566778899.,-/: %()",
    *(
        "12",
        "2026",
        "31",
        "Ft",
        "EUR",
        "€",
        "$",
        "e",
        "E",
        "T",
        "Z",
        "de",
        "du",
        "AM",
        "jan",
        "január",
        "febr",
        "márc.",
        "máj",
    ),
    *(
        "június",
        "szept.",
        "December",
        "hétfő",
        "k",
        "Monday",
        "igaz",
        "TRUE",
        "#N/A",
        "½",
        "１",
        "\xa0",
        "x",
        "Kft",
        "–",
        "²",
    ),
)


def test_libreoffice_turns_no_text_drawn_at_random_that_is_thought_safe(tmp_path: Path, soak: bool) -> None:
    drawn = random.Random(2026)
    texts = {
        "".join(drawn.choice(PIECES) + drawn.choice(["", " "]) for _ in range(drawn.randint(1, 6)))
        for _ in range(100_000 if soak else 10_000)
    }
    safe = sorted(text for text in texts if text.strip() and not spreadsheet.is_taken_for_a_value(text))
    safe = [text for text in safe if not text.startswith("-")]  # as formulas do
    (tmp_path / "texts.csv").write_text("".join(f'"{text}"\r\n' for text in safe), encoding="utf-8-sig")
    (cells,) = sheets(tmp_path / "texts.csv", tmp_path).values()
    assert len(safe) > 2_000
    assert [cell.value if cell and cell.kind == "string" else cell for (cell,) in cells] == safe


FITTING = ("0", "-0.00", "9.95", "-1234567890123.45", "100000000000000000000", "999999999999999", "1e300")
TOO_LONG = ("1234567890123456", "0.30000000000000004", "1e308", "4e-324", "NaN")


@pytest.mark.parametrize("form", ["xlsx", "csv-hu"])
def test_a_spreadsheet_has_a_number_exactly_or_as_text(form: str, tmp_path: Path) -> None:
    numbers = [Decimal(number) for number in FITTING + TOO_LONG]
    path, notes = written(tmp_path, form, [row(gross_total=number, position=1) for number in numbers])
    assert notes == {"numbers_as_text": len(TOO_LONG)}
    (cells,) = sheets(path, tmp_path).values()
    found = [cell for cell in column(cells, "gross_total") if cell]
    assert [cell.kind for cell in found] == ["float"] * len(FITTING) + ["string"] * len(TOO_LONG)
    held = [Decimal(cell.value.lstrip("'").replace(",", ".")) for cell in found]
    assert held[:-1] == numbers[:-1]
    assert held[-1].is_nan()


@pytest.mark.parametrize("form", ["xlsx", "csv-hu"])
def test_a_spreadsheet_has_dates_as_dates_and_moments_with_their_zone(form: str, tmp_path: Path) -> None:
    dates = [date(2026, 1, 2), date(1900, 3, 1), date(9999, 12, 31), date(1900, 2, 28), date(1, 1, 1)]
    moments = [datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))] * len(dates)
    found = opened(tmp_path, form, invoice_date=dates, synced_at=moments)
    assert [(cell.kind, cell.value.lstrip("'")) for cell in found["invoice_date"] if cell] == [
        *(("date", day.isoformat()) for day in dates[:3]),
        *(("string", day.isoformat()) for day in dates[3:]),
    ]
    assert set(found["synced_at"]) == {Cell("string", "2026-03-28T23:30:00.123456+00:00")}


def test_a_workbook_has_ids_as_text_and_counts_as_numbers(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "xlsx", [row(company_id=7, position=3, cancelled=True, content_hash=b"\x12\xe5")])
    (cells,) = sheets(path, tmp_path).values()
    assert column(cells, "company_id") == [Cell("string", "7")]
    assert column(cells, "position") == [Cell("float", "3")]
    assert column(cells, "content_hash") == [Cell("string", "12e5")]


def test_a_hungarian_csv_has_booleans_in_hungarian_and_no_number_in_place_of_a_hash(tmp_path: Path) -> None:
    found = opened(tmp_path, "csv-hu", cancelled=[True, False], content_hash=[b"\x12\xe5"] * 2)
    assert found["cancelled"] == [Cell("boolean", "true"), Cell("boolean", "false")]
    assert found["content_hash"] == [Cell("string", "'12e5")] * 2


def _markup_of(workbook: Path) -> dict[str, str]:
    with zipfile.ZipFile(workbook) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_workbook_has_no_formula_no_link_and_keeps_its_headings_in_sight(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "xlsx", [row(invoice_number=text, payload=text) for text in (*FORMULAS, *WILD)])
    sheet = _markup_of(path)["xl/worksheets/sheet1.xml"]
    assert not re.search(r"<f[ >]|<hyperlink", sheet)
    assert 'state="frozen"' in sheet
    assert "<autoFilter" in sheet
    assert sheet.count("<col ") >= 2


def test_rows_that_do_not_fit_into_a_sheet_go_on_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 101)
    rows = [row(position=number) for number in range(250)]
    found = sheets(written(tmp_path, "xlsx", rows)[0], tmp_path)
    assert list(found) == ["invoices", "invoices (2)", "invoices (3)"]
    positions = [[cell.value if cell else None for cell in column(cells, "position")] for cells in found.values()]
    assert [len(one) for one in positions] == [100, 100, 50]
    assert [int(value or -1) for one in positions for value in one] == list(range(250))
    assert written(tmp_path, "csv-hu", rows)[1] == {"rows_past_a_sheet": 150}


@pytest.mark.parametrize("form", ["xlsx", "csv-hu"])
def test_a_text_longer_than_a_cell_is_cut_and_says_so(form: str, tmp_path: Path) -> None:
    fitting, long = "ő" * 32_767, "😀" * 16_384
    path, notes = written(tmp_path, form, [row(invoice_number=fitting), row(invoice_number=long)])
    assert notes == {"texts_cut": 1}
    (cells,) = sheets(path, tmp_path).values()
    whole, rest = column(cells, "invoice_number")
    assert whole == Cell("string", fitting)
    assert rest is not None
    assert rest.value.endswith("😀 … (cut: 16,384 characters in all)")
    assert 32_700 < len(rest.value.encode("utf-16-le")) // 2 <= 32_767


def test_a_workbook_is_written_a_row_at_a_time(tmp_path: Path) -> None:
    program = """
import resource, sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from billingo_assets_tests.companies.test_export_formats import row, written
batch = [row(invoice_number=f"{n:0500}", gross_total=Decimal(n), invoice_date=date(2026, 1, 1)) for n in range(100)]
written(Path(sys.argv[1]), "xlsx", batch)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
written(Path(sys.argv[1]), "xlsx", batch * 200)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 5_000  # KiB, of 10 MB of text


def test_every_company_has_the_same_schema_in_parquet_whatever_its_numbers(tmp_path: Path) -> None:
    paths = []
    for name, number in (("one", "1.2345"), ("two", "1.23"), ("three", "5.551115123125783e-17"), ("four", "1e308")):
        paths.append(written(tmp_path, "parquet", [row(gross_total=Decimal(number))], table=name)[0])
    paths.append(written(tmp_path, "parquet", [], table="none")[0])
    assert len({parquet.read_schema(path).to_string() for path in paths}) == 1
    together = dataset.dataset(paths).to_table()
    assert together["gross_total"].to_pylist() == [Decimal("1.2345"), Decimal("1.23"), None, None]
    assert together["numbers_as_text"].to_pylist() == [
        None,
        None,
        '{"gross_total": "5.551115123125783E-17"}',
        '{"gross_total": "1E+308"}',
    ]
    frame = pd.concat([pd.read_parquet(path) for path in paths[:2]])
    assert sum(frame["gross_total"]) == Decimal("2.4645")
    assert list(pd.read_parquet(paths[:2])["gross_total"]) == [Decimal("1.2345"), Decimal("1.23")]


@pytest.mark.parametrize(
    "number", ["99999999999999999999.999999999999999999", "-1e-18", "1.000000000000000000000", "0E-400"]
)
def test_parquet_has_a_number_of_up_to_20_digits_and_18_decimals_as_a_number(number: str, tmp_path: Path) -> None:
    path, notes = written(tmp_path, "parquet", [row(gross_total=Decimal(number))])
    assert (parquet.read_table(path)["gross_total"].to_pylist(), notes) == ([Decimal(number)], {})


@pytest.mark.parametrize("number", ["100000000000000000000", "1e-19", "NaN", "Infinity"])
def test_parquet_has_any_other_number_as_its_digits_beside_and_never_rounded(number: str, tmp_path: Path) -> None:
    path, notes = written(tmp_path, "parquet", [row(gross_total=Decimal(number)), row(gross_total=Decimal(1))])
    table = parquet.read_table(path)
    assert table["gross_total"].to_pylist() == [None, Decimal(1)]
    assert table["numbers_as_text"].to_pylist() == [f'{{"gross_total": "{Decimal(number)}"}}', None]
    assert notes == {"numbers_as_text": 1}


def test_a_csv_for_programs_has_every_value_as_it_is(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    path, notes = written(
        tmp_path,
        "csv",
        [row(invoice_number="3.14", gross_total=Decimal("12345678901234567890.5"), synced_at=moment, cancelled=True)],
    )
    with path.open(encoding="utf-8-sig", newline="") as lines:
        (found,) = csv.DictReader(lines)
    assert {name: value for name, value in found.items() if value} == {
        "invoice_number": "3.14",
        "gross_total": "12345678901234567890.5",
        "synced_at": "2026-01-02T03:04:05.000006+00:00",
        "cancelled": "True",
    }
    assert notes == {}
