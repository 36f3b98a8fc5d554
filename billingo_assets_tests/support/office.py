"""LibreOffice, set to Hungarian: opens a file as people in Hungary do, and reads its cells. No tests here."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from billingo_assets_tests.support.programs import Needed, NoProgramError, first_that_starts, installed

NO_OFFICE = (
    "No LibreOffice was found, and some tests of exports open their files with it. Install it with your system's"
    " packages (on Debian: `sudo apt-get install libreoffice-calc libreoffice-l10n-hu`, 100 MB to fetch)."
)
OPEN_SECONDS = 300

_HUNGARIAN = """\
<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale" oor:op="fuse">
<value>hu-HU</value></prop></item>
</oor:items>
"""
_AS_PROPOSED = "CSV:59,34,76,1,,0,false,true"
"""Separated by `;`, in UTF-8, in the language that LibreOffice is set to, with special numbers detected."""

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"


class Cell(NamedTuple):
    """What a cell is taken for (string, float, date, boolean, …), what it holds, and whether that is computed."""

    kind: str
    value: str
    is_formula: bool = False


@cache
def find_office() -> Path:
    """Return LibreOffice. Raises NoProgramError when there is none."""
    return first_that_starts(installed("soffice", "libreoffice"), "--version", otherwise=NO_OFFICE)


OFFICE = Needed("LibreOffice", find_office, [], optional=True)
"""Nobody fetches 100 MB unasked for a few tests."""


def office() -> Path:
    """Return LibreOffice; without one, the test is skipped."""
    try:
        return find_office()
    except NoProgramError as error:
        pytest.skip(str(error))


def convert(file: Path, form: str, folder: Path) -> Path:
    """Open a file and save it in another form."""
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True, exist_ok=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_HUNGARIAN)
    how = [f"--infilter={_AS_PROPOSED}"] if file.suffix == ".csv" else []
    command = [office(), f"-env:UserInstallation={profile.as_uri()}", "--headless", *how, "--convert-to", form]
    subprocess.run([*command, "--outdir", folder, file], check=True, capture_output=True, timeout=OPEN_SECONDS)
    return folder / f"{file.stem}.{form}"


def sheets(file: Path, folder: Path) -> dict[str, list[list[Cell | None]]]:
    """Open a file in LibreOffice; return the rows of its sheets as far as there is anything in them."""
    root = ET.parse(convert(file, "fods", folder)).getroot()
    return {
        sheet.get(f"{_TABLE}name", ""): [
            row for element in sheet.iter(f"{_TABLE}table-row") if any(row := list(_cells(element)))
        ]
        for sheet in root.iter(f"{_TABLE}table")
    }


def _cells(row: ET.Element) -> list[Cell | None]:
    cells: list[Cell | None] = []
    for element in row:
        kind = element.get(f"{_OFFICE}value-type")
        cell = None if kind is None else Cell(kind, _value(element, kind), f"{_TABLE}formula" in element.attrib)
        repeated = int(element.get(f"{_TABLE}number-columns-repeated", "1"))
        cells += [cell] * (repeated if cell or repeated < 1000 else 1)
    return cells


def _value(cell: ET.Element, kind: str) -> str:
    if kind == "string":
        return "\n".join(_text(paragraph) for paragraph in cell.findall(f"{_TEXT}p"))
    held = {"date": "date-value", "time": "time-value", "boolean": "boolean-value"}.get(kind, "value")
    return cell.get(f"{_OFFICE}{held}", "")


def _text(element: ET.Element) -> str:
    """The text of a paragraph, in which blanks are elements."""
    inner = {f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}.get(element.tag, element.text or "")
    if element.tag == f"{_TEXT}s":
        inner = " " * int(element.get(f"{_TEXT}c", "1"))
    return inner + "".join(_text(child) + (child.tail or "") for child in element)
