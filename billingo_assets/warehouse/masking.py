"""Makes the views of `billingo_masked`, without personal data, from the columns' declarations.

Each `database upgrade` updates them. A view keeps its columns in their order and gets new ones at its end, so that
other people's views and queries on it keep working.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billingo_assets.errors import DatabaseError
from billingo_assets.streams import STREAMS
from billingo_assets.streams.stream import Column, NormalizedTable

MASKED_SCHEMA = "billingo_masked"

_INITIAL = "First letter and always three stars; to tell partners apart, use partner_id"

# A security barrier keeps functions of the caller from seeing rows that are not granted. The views read as their owner,
# so they filter by the caller's grants themselves: once in a query, not once a row.
_VIEW = """
CREATE OR REPLACE VIEW {schema}.{view.name} WITH (security_barrier) AS
SELECT {selected} FROM billingo.{view.name} WHERE {view.company} = ANY (ARRAY(
    SELECT granted.company_id FROM billingo.company_readers AS granted
    JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    WHERE pg_catalog.pg_has_role(current_user, reader.oid, 'USAGE')
))
"""

_COLUMNS = text(
    """
    SELECT attname FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(:view) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """
)


class MaskedView(NamedTuple):
    """A view of one table: its columns, each with its SQL expression, and the column of the company."""

    name: str
    columns: dict[str, str]
    company: str = "company_id"
    comments: dict[str, str] = {}  # noqa: RUF012 - never changed


def _shown(column: Column) -> str:
    return f"left({column.name}, 1) || '***' AS {column.name}" if column.masked == "initial" else column.name


def _view(table: NormalizedTable, *others: str) -> MaskedView:
    shown = [column for column in table.columns if not column.personal or column.masked]
    columns = {"company_id": "company_id", **{column.name: _shown(column) for column in shown}}
    comments = {column.name: _INITIAL for column in shown if column.masked}
    return MaskedView(table.name, {**columns, **{name: name for name in others}}, comments=comments)


_COMPANIES = ("id", "key", "name", "is_demo", "enabled", "schedule", "created_at", "removed_at")

MASKED_VIEWS = (
    MaskedView("companies", {name: name for name in _COMPANIES}, company="id"),
    *(
        view
        for stream in STREAMS
        for view in (_view(stream.table, "deleted_at"), *(_view(table) for table in stream.tables[1:]))
    ),
)


def update_masked_views(connection: Connection) -> None:
    """Make the views as declared: a column may be masked now that was not. The connection's role owns them.

    Raises:
        DatabaseError: another view uses a column that has to be removed.
    """
    for view in MASKED_VIEWS:
        name = f"{MASKED_SCHEMA}.{view.name}"
        present = list(connection.scalars(_COLUMNS, {"view": name}))
        if set(present) - set(view.columns):
            _drop(connection, name)
            present = []
        new = [name for name in view.columns if name not in present]
        for statement in _statements(view, [*present, *new]):
            connection.exec_driver_sql(statement)


def _drop(connection: Connection, name: str) -> None:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"DROP VIEW {name}")
    except DBAPIError as error:
        detail = getattr(getattr(error.orig, "diag", None), "message_detail", None) or "other objects depend on it"
        raise DatabaseError(
            f"The view {name} must drop a personal column, but cannot: {detail}. Drop the objects that use the view,"
            " upgrade, and create them again."
        ) from None


def _statements(view: MaskedView, columns: Sequence[str]) -> list[str]:
    selected = ", ".join(view.columns[name] for name in columns)
    comments = [
        f"COMMENT ON COLUMN {MASKED_SCHEMA}.{view.name}.{name} IS '{comment}'"
        for name, comment in view.comments.items()
    ]
    return [_VIEW.format(schema=MASKED_SCHEMA, view=view, selected=selected), *comments]
