"""Writes all data of a company to files, for an archive, another program or a spreadsheet.

It reads one snapshot, some thousand rows at a time; `formats` writes the files.

The files are written to a folder inside the requested one, and moved out once all are complete; the manifest is last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, text

from billingo_assets.companies.formats import DEFAULT_FORMATS, FORMATS
from billingo_assets.companies.formats.columns import Column, columns_of
from billingo_assets.companies.formats.writer import Note, Target
from billingo_assets.companies.registry import Company
from billingo_assets.errors import ConfigurationError
from billingo_assets.warehouse import tables
from billingo_assets.warehouse.schema import access_to

EXPORTED = tuple(table for table in tables.metadata.tables.values() if access_to(table).exported)
"""Without grants and the tables that only a running sync or alerts need. Each table's declaration says so."""

PARTIAL = "export.partial"
"""The folder of unfinished files. Only there does a killed export leave any."""
MANIFEST = "manifest.json"

BATCH_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """A written table: its rows, and by file how many values the format could not hold unchanged."""

    rows: int
    notes: dict[str, dict[Note, int]]


def export_company(
    connection: Connection, company: Company, folder: Path, formats: Sequence[str] = DEFAULT_FORMATS
) -> dict[str, ExportedTable]:
    """Write each table in each of the formats, and a manifest, readable by the user alone.

    `connection` must not be in a transaction. A failure leaves nothing in the folder. Returns the written tables by
    name.

    Raises:
        ConfigurationError: a file exists already, or the folder cannot be written to.
    """
    names = [*(_file_of(table.name, form) for table in EXPORTED for form in formats), MANIFEST]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_absent(folder, [PARTIAL, *names])
        with _partial(folder) as partial:
            connection.rollback()
            with connection.execution_options(isolation_level="REPEATABLE READ") as reading, reading.begin():
                exported_at = reading.execute(text("SELECT now()")).scalar_one()
                written = {table.name: _write(reading, table, company.id, partial, formats) for table in EXPORTED}
            _write_manifest(partial, company, exported_at, written, formats)
            _move_out(partial, folder, names)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}.") from None
    return written


def _file_of(table: str, form: str) -> str:
    return f"{table}.{FORMATS[form].suffix}"


def _require_absent(folder: Path, names: Sequence[str]) -> None:
    if there := [name for name in names if os.path.lexists(folder / name)]:
        raise ConfigurationError(f"{folder / there[0]} is there already. Export to a new folder.")


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    partial = folder / PARTIAL
    partial.mkdir(mode=0o700)
    try:
        yield partial
    finally:
        shutil.rmtree(partial)


def _write_manifest(
    partial: Path, company: Company, exported_at: datetime, written: dict[str, ExportedTable], formats: Sequence[str]
) -> None:
    manifest = {
        "company": company.key,
        "exported_at": exported_at.astimezone(UTC).isoformat(),
        "formats": list(formats),
        "tables": {
            table: {
                "rows": exported.rows,
                "sha256": {name: _sha256(partial / name) for name in (_file_of(table, form) for form in formats)},
                **({"notes": exported.notes} if exported.notes else {}),
            }
            for table, exported in written.items()
        },
    }
    with os.fdopen(_create(partial / MANIFEST), "w", encoding="utf-8") as lines:
        json.dump(manifest, lines, indent=2)
        lines.write("\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_out(partial: Path, folder: Path, names: Sequence[str]) -> None:
    """Move all files into the folder, or none; never over a file that appeared there meanwhile."""
    moved: list[Path] = []
    try:
        for name in names:
            os.close(_create(folder / name))  # the name is ours now: this replaces our own file
            moved.append(folder / name)
            (partial / name).replace(folder / name)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        raise


def _write(
    connection: Connection, table: Table, company_id: int, folder: Path, formats: Sequence[str]
) -> ExportedTable:
    columns = columns_of(table)
    rows = 0
    with ExitStack() as stack:
        writers = {}
        for name, form in ((_file_of(table.name, form), FORMATS[form]) for form in formats):
            file = stack.enter_context(os.fdopen(_create(folder / name), "wb"))
            writers[name] = stack.enter_context(form.open(Target(file, table.name, columns, folder)))
        for batch in _batches(connection, table, columns, company_id):
            for writer in writers.values():
                writer.write(batch)
            rows += len(batch)
    notes = {name: noted for name, writer in writers.items() if (noted := dict(+writer.notes))}
    return ExportedTable(rows, notes)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _batches(
    connection: Connection, table: Table, columns: Sequence[Column], company_id: int
) -> Iterator[Sequence[Sequence[Any]]]:
    key = "id" if table is tables.companies else "company_id"
    order = ", ".join(f'"{column.name}"' for column in table.primary_key)
    # JSON as text, so that its numerals stay as sent.
    names = ", ".join(f'"{one.name}"::text' if one.kind == "json" else f'"{one.name}"' for one in columns)
    query = text(f'SELECT {names} FROM {table} WHERE "{key}" = :company ORDER BY {order}')  # noqa: S608 - our names
    streaming = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS)
    with streaming.execute(query, {"company": company_id}) as result:
        yield from result.partitions(BATCH_ROWS)
