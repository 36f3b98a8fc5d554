"""The common parts of the tables of the schema `billingo`: metadata, rights, shared columns."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import Column, DateTime, ForeignKey, Integer, MetaData, Table, Text, func, text
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

SCHEMA: Final = "billingo"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_name)s_idx",
    },
)

WRITES = "SELECT, INSERT, UPDATE, DELETE"
KEEPS = "SELECT, INSERT, UPDATE"
READS = "SELECT"
NOTHING = ""


class Access(NamedTuple):
    """The rights of the pipeline and of readers on a table, as GRANT spells them, and whether exports contain it."""

    pipeline: str
    readers: str
    exported: bool


def define_table(
    name: str, *parts: SchemaItem, comment: str, pipeline: str, readers: str = NOTHING, exported: bool = False
) -> Table:
    """Add a table to the metadata. The pipeline may not delete raw records: only the owner may."""
    return Table(name, metadata, *parts, comment=comment, info={"access": Access(pipeline, readers, exported)})


def access_to(table: Table) -> Access:
    """The declared rights on a table."""
    access: Access = table.info["access"]
    return access


def moment(name: str, *, nullable: bool = False, comment: str | None = None) -> Column[object]:
    """A column for a point in time; it defaults to now unless it may be NULL."""
    default = None if nullable else func.now()
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default, comment=comment)


def key_column(name: str, kind: type[TypeEngine[Any]], comment: str) -> Column[Any]:
    """A column of a primary key with values that the database does not generate."""
    return Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def derived_company_id(*constraints: ForeignKey) -> Column[int]:
    """The company of a row in a derived table, without a foreign key: checking each line would double load times."""
    return Column("company_id", Integer, *constraints, primary_key=True, autoincrement=False, comment="companies.id")


def company_id() -> Column[int]:
    """The column for the company that a row belongs to."""
    return derived_company_id(ForeignKey(f"{SCHEMA}.companies.id"))


def stream_column() -> Column[str]:
    """The column for the stream of a row, in bookkeeping tables that streams share."""
    return Column(
        "stream",
        Text,
        primary_key=True,
        server_default=text("'documents'"),
        comment="The collection of Billingo that it concerns: documents",
    )
