"""Writes all that is held of a company to files, for an archive or another program: Parquet, exact; CSV, to look at.

Read in one snapshot, some thousand rows at a time. Amounts are decimals of as many places as they need in Parquet, and
their digits in CSV.

The files are written into a folder within the one that is asked for, and moved out of it when all of them are whole;
the manifest is the last.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Column, Connection, Date, DateTime, Integer, LargeBinary, Numeric, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from billingo_assets.companies.registry import Company
from billingo_assets.errors import ConfigurationError
from billingo_assets.warehouse import tables

if TYPE_CHECKING:
    import pyarrow as pa

EXPORTED = (
    tables.companies,
    tables.raw_invoices,
    tables.raw_invoice_versions,
    tables.invoices,
    tables.invoice_items,
    tables.related_documents,
    tables.rejected_documents,
    tables.number_gaps,
    tables.sync_state,
    tables.audit_log,
)
"""Not what a sync under way or alerts need alone, nor grants."""

LEFT_OUT = {"api_key_encrypted"}

PARTIAL = "export.partial"
"""Where the files are until all are whole. What a killed export has left is in there, and nowhere else."""
MANIFEST = "manifest.json"

BATCH_ROWS = 2_000
FORMULA = re.compile(
    r"""
    ( (?: \A | [;,\t\r\n\v\f\x85\u2028\u2029] )           # where a cell may begin
      [\s"\x00-\x1f\x7f\xad\u200b-\u200f\u2060\ufeff]*+ )  # what it may drop there
    ( [=+\-@\uff1d\uff0b\uff0d\uff20]? )                   # full-width ones count as well
    """,
    re.VERBOSE,
)
"""A spreadsheet takes a cell that begins so for a formula, which may do anything.

Excel splits at `;` where the decimal mark is a comma, as in Hungarian; a quote amid such a cell then quotes nothing.
"""
DECIMAL_DIGITS = 76
"""The most that a Parquet decimal holds as Arrow writes it; longer numbers, which no invoice has, become text."""


def export_company(connection: Connection, company: Company, folder: Path) -> dict[str, int]:
    """Write each table as `TABLE.parquet` and `TABLE.csv`, and a manifest, readable by the user alone.

    `connection` must not be in a transaction. Nothing is left in the folder when something fails. Returns the rows of
    each table.

    Raises:
        ConfigurationError: a file is there already, or the folder cannot be written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_absent(folder)
        with _partial(folder) as partial:
            connection.rollback()
            with connection.execution_options(isolation_level="REPEATABLE READ") as reading, reading.begin():
                exported_at = reading.execute(text("SELECT now()")).scalar_one()
                rows = {table.name: _write(reading, table, company.id, partial) for table in EXPORTED}
            _write_manifest(partial, company, exported_at, rows)
            _move_out(partial, folder)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}.") from None
    return rows


def _files_of(table: str) -> list[str]:
    return [f"{table}.parquet", f"{table}.csv"]


FILES = [*(name for table in EXPORTED for name in _files_of(table.name)), MANIFEST]


def _require_absent(folder: Path) -> None:
    if there := [name for name in (PARTIAL, *FILES) if os.path.lexists(folder / name)]:
        raise ConfigurationError(f"{folder / there[0]} is there already. Export to a new folder.")


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    partial = folder / PARTIAL
    partial.mkdir(mode=0o700)
    try:
        yield partial
    finally:
        shutil.rmtree(partial)


def _write_manifest(partial: Path, company: Company, exported_at: datetime, rows: dict[str, int]) -> None:
    tables = {
        table: {"rows": number, "sha256": {name: _sha256(partial / name) for name in _files_of(table)}}
        for table, number in rows.items()
    }
    manifest = {"company": company.key, "exported_at": exported_at.astimezone(UTC).isoformat(), "tables": tables}
    with os.fdopen(_create(partial / MANIFEST), "w", encoding="utf-8") as lines:
        json.dump(manifest, lines, indent=2)
        lines.write("\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_out(partial: Path, folder: Path) -> None:
    """Move each file into the folder, over none that has come to be there since, or none at all."""
    moved: list[Path] = []
    try:
        for name in FILES:
            os.close(_create(folder / name))  # the name is ours now: a file is replaced, and it is this one
            moved.append(folder / name)
            (partial / name).replace(folder / name)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        raise


def _write(connection: Connection, table: Table, company_id: int, folder: Path) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    columns = [column for column in table.columns if column.name not in LEFT_OUT]
    key = table.c.id if table is tables.companies else table.c.company_id
    schema = pa.schema([pa.field(column.name, _type(connection, column, key, company_id)) for column in columns])
    to_cells = [_cell_of(column) for column in columns]
    rows = 0
    with ExitStack() as stack:
        binary = stack.enter_context(os.fdopen(_create(folder / f"{table.name}.parquet"), "wb"))
        lines = os.fdopen(_create(folder / f"{table.name}.csv"), "w", encoding="utf-8-sig", newline="")
        sheet = stack.enter_context(lines)  # its first bytes say UTF-8: without them Excel garbles every accent
        writer = stack.enter_context(parquet.ParquetWriter(binary, schema, compression="zstd"))
        sheet.write(_line(column.name for column in columns))
        for batch in _batches(connection, columns, key, company_id):
            arrays = [
                pa.array([_exact(field, value) for value in values], field.type)
                for field, values in zip(schema, zip(*batch, strict=True), strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            sheet.writelines(_line(cell(v) for cell, v in zip(to_cells, row, strict=True)) for row in batch)
            rows += len(batch)
    return rows


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _batches(
    connection: Connection, columns: Sequence[Column[Any]], key: Column[Any], company_id: int
) -> Iterator[Sequence[Sequence[Any]]]:
    order = ", ".join(f'"{column.name}"' for column in key.table.primary_key)
    # JSON as text: its numerals stay as they were sent.
    names = ", ".join(f'"{c.name}"::text' if isinstance(c.type, JSONB) else f'"{c.name}"' for c in columns)
    query = text(
        f'SELECT {names} FROM {key.table} WHERE "{key.name}" = :company ORDER BY {order}'  # noqa: S608 - our names
    )
    streaming = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS)
    with streaming.execute(query, {"company": company_id}) as result:
        yield from result.partitions(BATCH_ROWS)


def _type(connection: Connection, column: Column[Any], key: Column[Any], company_id: int) -> pa.DataType:
    import pyarrow as pa

    if isinstance(column.type, Numeric):
        return _decimal(connection, column, key, company_id)
    for kind, made in (
        (DateTime, pa.timestamp("us", "UTC")),
        (Date, pa.date32()),
        (Boolean, pa.bool_()),
        (Integer, pa.int64()),
        (LargeBinary, pa.binary()),
        (Text, pa.string()),
        (JSONB, pa.string()),
    ):
        if isinstance(column.type, kind):
            return made
    raise NotImplementedError(f"{column} is of a type that exports do not know")


def _decimal(connection: Connection, column: Column[Any], key: Column[Any], company_id: int) -> pa.DataType:
    import pyarrow as pa

    query = text(
        f"""
        SELECT coalesce(max(scale({column.name})), 0), coalesce(max(length(trunc(abs({column.name}))::text)), 1),
               coalesce(bool_or({column.name} IN ('NaN', 'Infinity', '-Infinity')), false)
        FROM {key.table} WHERE {key.name} = :company
        """  # noqa: S608 - our own names
    )
    places, digits, is_none = connection.execute(query, {"company": company_id}).one()
    if is_none or places + digits > DECIMAL_DIGITS:
        return pa.string()
    return pa.decimal128(38, places) if places + digits <= 38 else pa.decimal256(DECIMAL_DIGITS, places)


def _exact(field: pa.Field, value: Any) -> Any:
    import pyarrow as pa

    return str(value) if isinstance(value, Decimal) and pa.types.is_string(field.type) else value


def _line(cells: Iterable[str]) -> str:
    return f"{','.join(cells)}\r\n"


def _cell_of(column: Column[Any]) -> Callable[[Any], str]:
    return _text_cell if isinstance(column.type, Text | JSONB) else _cell


def _text_cell(value: str | None) -> str:
    if value is None:
        return ""
    harmless = FORMULA.sub(lambda found: f"{found[1]}'{found[2]}" if found[2] else found[1], value)
    return '"{}"'.format(harmless.replace('"', '""'))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
