"""Makes the tables of a stream from its declaration: records as sent, former contents, normalized rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from billingo_assets.streams import Stream
from billingo_assets.streams.stream import UNREADABLE, Kind, NormalizedTable
from billingo_assets.warehouse.schema import (
    KEEPS,
    READS,
    WRITES,
    company_id,
    define_table,
    derived_company_id,
    key_column,
    moment,
)

_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    "text": Text,
    "integer": BigInteger,
    "amount": Numeric,
    "date": Date,
    "boolean": Boolean,
}


def raw_table(stream: Stream, *parts: SchemaItem) -> Table:
    """Make the table of a stream's records as sent; `parts` are its additional columns and constraints."""
    return define_table(
        stream.raw,
        company_id(),
        key_column(stream.raw_key, BigInteger, f"Billingo's id of the {stream.noun}"),
        Column("payload", JSONB, nullable=False, comment=f"The {stream.noun} as Billingo sent it"),
        _content_hash(stream),
        moment("first_synced_at", comment=f"When the {stream.noun} was first stored"),
        moment("changed_at", comment="When its content or its deleted_at last changed"),
        moment("deleted_at", nullable=True, comment="When a sync found that Billingo no longer has it"),
        Column(
            "version",
            Integer,
            nullable=False,
            server_default=text("1"),
            comment=f"Number of its present content, from 1; former contents are in {stream.versions}",
        ),
        *parts,
        Index(f"{stream.raw}_changed_at_idx", "company_id", "changed_at"),
        comment=f"Every {stream.noun} of every company, as Billingo sent it",
        pipeline=KEEPS,
        readers=READS,
        exported=True,
    )


def versions_table(stream: Stream) -> Table:
    """Make the table of the former contents of a stream's records."""
    return define_table(
        stream.versions,
        company_id(),
        key_column(stream.raw_key, BigInteger, f"Billingo's id of the {stream.noun}"),
        key_column("version", Integer, "Number of this content, from 1"),
        Column("payload", JSONB, nullable=False, comment=f"The {stream.noun} as Billingo sent it then"),
        _content_hash(stream),
        Column("valid_from", DateTime(timezone=True), nullable=False, comment="When a sync first saw this content"),
        Column(
            "valid_to",
            DateTime(timezone=True),
            nullable=False,
            comment=f"When a sync first saw other content, or that the {stream.noun} was gone",
        ),
        comment=f"Former contents of {stream.words}; {stream.history} has the present ones too",
        pipeline="SELECT, INSERT",
        readers=READS,
        exported=True,
    )


def record_table(stream: Stream, *parts: SchemaItem) -> Table:
    """Make the table with a normalized row for each record of a stream."""
    key = [*stream.table.key]
    return define_table(
        stream.table.name,
        derived_company_id(),
        *_columns(stream.table),
        moment("deleted_at", nullable=True, comment="When a sync found that Billingo no longer has it"),
        Column(
            "content_hash",
            LargeBinary,
            nullable=False,
            comment=f"content_hash in {stream.raw} of the content that this row was made from",
        ),
        Column(
            "normalizer_version", Integer, nullable=False, comment="Version of the rules by which this row was made"
        ),
        moment("normalized_at", comment="When this row was made"),
        Column(
            UNREADABLE,
            Text,
            comment="Columns that are NULL because their values could not be read, separated by commas",
        ),
        *parts,
        PrimaryKeyConstraint(
            "company_id", *key, postgresql_include=["content_hash", "normalizer_version", "deleted_at"]
        ),
        Index(f"{stream.table.name}_unreadable_idx", "company_id", postgresql_where=text(f"{UNREADABLE} IS NOT NULL")),
        comment=stream.table.comment,
        pipeline=WRITES,
        readers=READS,
        exported=True,
    )


def detail_table(table: NormalizedTable) -> Table:
    """Make a table with parts of records, such as their lines."""
    return define_table(
        table.name,
        derived_company_id(),
        *_columns(table),
        comment=table.comment,
        pipeline=WRITES,
        readers=READS,
        exported=True,
    )


def define_stream_tables(stream: Stream) -> None:
    """Make all tables of a stream that has no columns beyond its declaration."""
    raw_table(
        stream,
        PrimaryKeyConstraint("company_id", stream.raw_key, postgresql_include=["content_hash", "deleted_at"]),
    )
    versions_table(stream)
    record_table(stream)
    for table in stream.details:
        detail_table(table)


def _columns(table: NormalizedTable) -> list[Column[object]]:
    """Make the columns that normalization fills. All but the key may be NULL: any field can be missing."""
    return [
        Column(
            column.name,
            _TYPES[column.kind](),
            primary_key=column.name in table.key,
            nullable=column.name not in table.key,
            autoincrement=False,
            comment=column.description,
        )
        for column in table.columns
    ]


def _content_hash(stream: Stream) -> Column[bytes]:
    without = f", without {stream.no_content}" if stream.no_content else ""
    return Column(
        "content_hash", LargeBinary, nullable=False, comment=f"SHA-256 of the {stream.noun}'s content{without}"
    )
