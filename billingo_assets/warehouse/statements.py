"""Fills the table names of a stream into SQL that streams share."""

from __future__ import annotations

from functools import cache

from sqlalchemy import TextClause, text

from billingo_assets.streams import Stream


@cache
def for_stream(statement: str, stream: Stream) -> TextClause:
    """Make a statement for the tables of a stream.

    `{raw}`, `{versions}` and `{key}` stand for the tables of its records as sent and their column of Billingo's id;
    `{table}` and `{id}` for the table with a row for each record and its column of that id.
    """
    return text(sql_for_stream(statement, stream))


def sql_for_stream(statement: str, stream: Stream, **others: object) -> str:
    """Make the text of such a statement, with further values for its braces."""
    return statement.format(
        raw=f"billingo.{stream.raw}",
        versions=f"billingo.{stream.versions}",
        key=stream.raw_key,
        table=f"billingo.{stream.table.name}",
        id=stream.table.key[0],
        **others,
    )
