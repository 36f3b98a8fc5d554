"""Metadata of assets for the UI: owners, and the columns of tables."""

from __future__ import annotations

from typing import Any

import dagster as dg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

OWNERS = ("team:finance",)
POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


def table_metadata(table: Table) -> dict[str, Any]:
    """Make the metadata for the table's name and column schema, which Dagster's UI shows."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.type.compile(dialect=POSTGRESQL).lower(),
            description=column.comment,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
        )
        for column in table.columns
    ]
    return {"dagster/table_name": table.fullname, "dagster/column_schema": dg.TableSchema(columns=columns)}
