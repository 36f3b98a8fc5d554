"""The tables of full syncs under way: how far each has read, and the lasting differences that they found."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKeyConstraint, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from billingo_assets.warehouse.schema import (
    READS,
    SCHEMA,
    WRITES,
    company_id,
    define_table,
    derived_company_id,
    moment,
    stream_column,
)

listings = define_table(
    "listings",
    company_id(),
    stream_column(),
    Column(
        "started_at",
        DateTime(timezone=True),
        nullable=False,
        comment="Billingo's clock when the first page was requested",
    ),
    moment("begun_at", comment="The database's clock at that moment"),
    Column("total", Integer, nullable=False, comment="Number of documents according to the first page"),
    Column("next_page", Integer, nullable=False, comment="The first page that is not stored yet"),
    Column(
        "totals",
        ARRAY(Integer),
        nullable=False,
        server_default=text("'{}'"),
        comment="Numbers of documents according to the later pages",
    ),
    Column(
        "page_size",
        Integer,
        nullable=False,
        server_default=text("100"),
        comment="Documents on a page; next_page counts pages of this size",
    ),
    comment="Full syncs that run or were interrupted: how far each has read",
    pipeline=WRITES,
)

listing_pages = define_table(
    "listing_pages",
    derived_company_id(),
    stream_column(),
    Column(
        "place",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="Order in which the documents were stored, from 1",
    ),
    Column("arrived", Boolean, nullable=False, comment="Whether these documents were created after the listing began"),
    Column(
        "document_ids",
        ARRAY(BigInteger),
        nullable=False,
        comment="Ids of the documents shown, stored or not",
    ),
    Column(
        "broken_hashes",
        ARRAY(LargeBinary),
        nullable=False,
        comment="Hashes of the documents shown that could not be stored",
    ),
    ForeignKeyConstraint(
        ["company_id", "stream"], [f"{SCHEMA}.listings.company_id", f"{SCHEMA}.listings.stream"], ondelete="CASCADE"
    ),
    comment="Which documents the pages of an unfinished full sync have shown",
    pipeline=WRITES,
)

listing_differences = define_table(
    "listing_differences",
    company_id(),
    stream_column(),
    Column(
        "difference",
        Integer,
        comment="What Billingo counts minus what its pages show; NULL if that changed while they were read",
    ),
    Column("times", Integer, nullable=False, comment="Syncs in a row that found it and failed"),
    moment("first_seen_at", comment="When it was first found"),
    moment("last_seen_at", comment="When it was last found"),
    Column("accepted", Integer, comment="The difference that was accepted: syncs succeed in spite of it"),
    moment("accepted_at", nullable=True, comment="When it was accepted"),
    Column("accepted_by", Text, comment="Who accepted it, as actor in audit_log"),
    comment="Companies of which Billingo counts more or fewer documents than its pages show",
    pipeline=WRITES,
    readers=READS,
    exported=True,
)
