"""Writes all that is held of a company to files, for an archive or another program: Parquet, exact; CSV, to look at.

Read in one snapshot, some thousand rows at a time. Amounts are decimals of as many places as they need in Parquet, and
their digits in CSV.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime
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
    """Write each table as `TABLE.parquet` and `TABLE.csv`, readable by the user alone. Returns the rows of each.

    `connection` must not be in a transaction. What was written is taken back when something fails.

    Raises:
        ConfigurationError: a file is there already, or the folder cannot be written to.
    """
    written: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_absent(folder)
        connection.rollback()
        with connection.execution_options(isolation_level="REPEATABLE READ") as reading, reading.begin():
            return {table.name: _write(reading, table, company.id, folder, written) for table in EXPORTED}
    except OSError as error:
        _take_back(written)
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}.") from None
    except BaseException:
        _take_back(written)
        raise


def _require_absent(folder: Path) -> None:
    names = [f"{table.name}{ending}" for table in EXPORTED for ending in (".parquet", ".csv")]
    if there := [name for name in names if os.path.lexists(folder / name)]:
        raise ConfigurationError(f"{folder / there[0]} is there already. Export to a new folder.")


def _take_back(written: Sequence[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)


def _write(connection: Connection, table: Table, company_id: int, folder: Path, written: list[Path]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    columns = [column for column in table.columns if column.name not in LEFT_OUT]
    key = table.c.id if table is tables.companies else table.c.company_id
    schema = pa.schema([pa.field(column.name, _type(connection, column, key, company_id)) for column in columns])
    to_cells = [_cell_of(column) for column in columns]
    rows = 0
    with ExitStack() as stack:
        binary = stack.enter_context(os.fdopen(_create(folder / f"{table.name}.parquet", written), "wb"))
        lines = os.fdopen(_create(folder / f"{table.name}.csv", written), "w", encoding="utf-8-sig", newline="")
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


def _create(path: Path, written: list[Path]) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    written.append(path)
    return descriptor


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
