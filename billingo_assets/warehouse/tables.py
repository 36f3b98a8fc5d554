"""The tables of the schema `billingo`, as SQLAlchemy Core metadata. How they came to be is in `migrations`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, OID
from sqlalchemy.types import TypeEngine

from billingo_assets.normalize.columns import INVOICE_COLUMNS, ITEM_COLUMNS, RELATED_COLUMNS, UNREADABLE, Kind
from billingo_assets.normalize.columns import Column as NormalizedColumn

SCHEMA = "billingo"

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

_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    "text": Text,
    "integer": BigInteger,
    "amount": Numeric,
    "date": Date,
    "boolean": Boolean,
}


def _moment(name: str, *, nullable: bool = False, comment: str | None = None) -> Column[object]:
    default = None if nullable else func.now()
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default, comment=comment)


def _normalized(columns: tuple[NormalizedColumn, ...], *, key: tuple[str, ...]) -> list[Column[object]]:
    """Columns that normalization fills. Everything but the key may be NULL: any field can be missing."""
    return [
        Column(
            column.name,
            _TYPES[column.kind](),
            primary_key=column.name in key,
            nullable=column.name not in key,
            autoincrement=False,
            comment=column.description,
        )
        for column in columns
    ]


def _company_id(*constraints: ForeignKey) -> Column[int]:
    return Column("company_id", Integer, *constraints, primary_key=True, autoincrement=False, comment="companies.id")


def _registered_company_id() -> Column[int]:
    """Not for the tables that are derived from raw_invoices: checking each line again would double their load time."""
    return _company_id(ForeignKey(f"{SCHEMA}.companies.id"))


def _numbering() -> list[Column[object]]:
    """What a document tells of its number, as `normalize.numbering` reads it."""
    return [
        Column("block_id", BigInteger, comment="Billingo's id of the document block (number range)"),
        Column("number_series", Text, comment="Prefix and year of invoice_number, in one spelling"),
        Column("number_year", Integer, comment="The year in invoice_number, else that of invoice_date"),
        Column("number", BigInteger, comment="The running number in invoice_number"),
        Column(
            "number_judged",
            Boolean,
            comment="Whether invoice_number can be read in one way only; NULL where there is none",
        ),
        Column(
            "gapless",
            Boolean,
            nullable=False,
            server_default=text("true"),
            comment="Whether the numbers of its type have to run without gaps",
        ),
    ]


companies = Table(
    "companies",
    metadata,
    Column("id", Integer, Identity(), primary_key=True, comment="company_id in the other tables"),
    Column("key", Text, nullable=False, unique=True, comment="Slug that never changes; the partition key"),
    Column("name", Text, nullable=False, comment="The company's name, for people"),
    Column("tax_code", Text, comment="Whose key it is, as /organization told when it was stored"),
    Column("api_key_encrypted", Text, comment="Fernet token; NULL once the company is removed"),
    Column(
        "is_demo",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Invented: its API is the sandbox that a command serves",
    ),
    Column("enabled", Boolean, nullable=False, server_default=text("true"), comment="Whether it is synced"),
    Column(
        "schedule", Text, nullable=False, server_default=text("'daily'"), comment="The rhythm in which it is synced"
    ),
    _moment("created_at", comment="When it was registered"),
    _moment("updated_at", comment="When its entry last changed"),
    _moment("removed_at", nullable=True, comment="When it was removed; its documents stay"),
    _moment("expected_since", comment="Since when syncs are expected: it was added, enabled or given its rhythm"),
    CheckConstraint(
        "schedule IN ('daily', 'twice-daily', 'hourly', 'weekly', 'manual')",
        name="schedule",
    ),
    comment="The registered companies",
)

sync_state = Table(
    "sync_state",
    metadata,
    _registered_company_id(),
    Column("watermark", DateTime(timezone=True), nullable=False, comment="The clock when the last whole sync started"),
    Column("run_id", Text, nullable=False, comment="The Dagster run that last synced the company"),
    Column("api_total", Integer, nullable=False, comment="Documents the API reported at the end of that run"),
    _moment("synced_at", comment="When the last whole sync ended"),
    Column(
        "mode",
        Text,
        nullable=False,
        server_default=text("'full'"),
        comment="full: every document was listed; incremental: what is new or changed was",
    ),
    _moment("full_synced_at", comment="When the last full sync ended"),
    Column(
        "unlisted",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Documents held beyond api_total: no listing shows them, or a difference is accepted",
    ),
    Column(
        "number_rules",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="The rules by which the numbers of its documents were read",
    ),
    CheckConstraint("mode IN ('full', 'incremental')", name="mode"),
    comment="The last whole sync of each company",
)

raw_invoices = Table(
    "raw_invoices",
    metadata,
    _registered_company_id(),
    Column("document_id", BigInteger, primary_key=True, autoincrement=False, comment="Billingo's id of the document"),
    Column("payload", JSONB, nullable=False, comment="The document as Billingo sent it"),
    Column("content_hash", LargeBinary, nullable=False, comment="SHA-256 of the content of the document as sent"),
    Column("item_count", Integer, nullable=False, comment="Length of its list of items, counted when it was received"),
    _moment("first_synced_at", comment="When the document was first stored"),
    _moment("changed_at", comment="When its content, or whether it is deleted, last changed"),
    _moment("deleted_at", nullable=True, comment="When a sync found that Billingo no longer has it"),
    Column(
        "version",
        Integer,
        nullable=False,
        server_default=text("1"),
        comment="How often its content has changed, from 1; the former ones are in raw_invoice_versions",
    ),
    *_numbering(),
    # What an unchanged document is recognized by is in the index: to compare a company reads none of its payloads.
    PrimaryKeyConstraint("company_id", "document_id", postgresql_include=["content_hash", "item_count", "deleted_at"]),
    Index("raw_invoices_changed_at_idx", "company_id", "changed_at"),
    Index("raw_invoices_unjudged_idx", "company_id", postgresql_where=text("NOT number_judged")),
    comment="Every document of every company, as Billingo sent it",
)

raw_invoice_versions = Table(
    "raw_invoice_versions",
    metadata,
    _registered_company_id(),
    Column("document_id", BigInteger, primary_key=True, autoincrement=False, comment="Billingo's id of the document"),
    Column("version", Integer, primary_key=True, autoincrement=False, comment="Counts the contents, from 1"),
    Column("payload", JSONB, nullable=False, comment="The document as Billingo sent it then"),
    Column("content_hash", LargeBinary, nullable=False, comment="SHA-256 of the content of the document as sent"),
    Column("valid_from", DateTime(timezone=True), nullable=False, comment="When a sync first saw this content"),
    Column("valid_to", DateTime(timezone=True), nullable=False, comment="When a sync first saw other content, or none"),
    comment="Former contents of documents; raw_invoice_history has the present ones too",
)

listings = Table(
    "listings",
    metadata,
    _registered_company_id(),
    Column(
        "started_at",
        DateTime(timezone=True),
        nullable=False,
        comment="The clock of the API when its first page was asked for",
    ),
    _moment("begun_at", comment="The clock of the database then"),
    Column("total", Integer, nullable=False, comment="Documents that its first page told"),
    Column("next_page", Integer, nullable=False, comment="The first page that is not stored"),
    Column(
        "totals",
        ARRAY(Integer),
        nullable=False,
        server_default=text("'{}'"),
        comment="All totals that its later pages told",
    ),
    Column(
        "page_size",
        Integer,
        nullable=False,
        server_default=text("100"),
        comment="Documents that a page showed, in which next_page counts",
    ),
    comment="A full sync under way: how far its listing was read",
)

listing_pages = Table(
    "listing_pages",
    metadata,
    _company_id(ForeignKey(f"{SCHEMA}.listings.company_id", ondelete="CASCADE")),
    Column(
        "place",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="Order in which its documents were stored, from 1",
    ),
    Column("arrived", Boolean, nullable=False, comment="Whether they came into being after the listing began"),
    Column(
        "document_ids",
        ARRAY(BigInteger),
        nullable=False,
        comment="Documents shown, stored or not, that have a usable id",
    ),
    Column("broken_hashes", ARRAY(LargeBinary), nullable=False, comment="Documents shown that could not be stored"),
    comment="What the pages of a listing under way have shown",
)

listing_differences = Table(
    "listing_differences",
    metadata,
    _registered_company_id(),
    Column(
        "difference",
        Integer,
        comment="Documents that Billingo counts beyond those its pages show; NULL where that did not hold still",
    ),
    Column("times", Integer, nullable=False, comment="Syncs in a row that found it and were not whole"),
    _moment("first_seen_at", comment="When it was first found"),
    _moment("last_seen_at", comment="When it was last found"),
    Column("accepted", Integer, comment="The difference in spite of which syncs are whole"),
    _moment("accepted_at", nullable=True, comment="When it was accepted"),
    Column("accepted_by", Text, comment="As in audit_log"),
    comment="Where Billingo counts other than it shows, and what was accepted of it",
)

number_gaps = Table(
    "number_gaps",
    metadata,
    _registered_company_id(),
    Column(
        "block_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Billingo's id of the document block (number range)",
    ),
    Column("year", Integer, primary_key=True, autoincrement=False, comment="Year of the document before them"),
    Column(
        "first_number",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="First of the numbers that no document bears",
    ),
    Column("last_number", BigInteger, nullable=False, comment="Last of them"),
    _moment("found_at", comment="When the gap was first found"),
    _moment("asked_at", nullable=True, comment="When Billingo was last asked for them by number"),
    Column("series", Text, primary_key=True, comment="Prefix and year that the numbers around them have in common"),
    Column("last_year", Integer, nullable=False, comment="Year of the document after them"),
    Column(
        "gapless",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="Whether the series holds documents whose numbers have to run without gaps",
    ),
    _moment("accepted_at", nullable=True, comment="When somebody accepted that they are missing"),
    PrimaryKeyConstraint("company_id", "block_id", "series", "year", "first_number"),
    comment="Runs of numbers that no document has",
)

ambiguous_numbers = Table(
    "ambiguous_numbers",
    metadata,
    _registered_company_id(),
    Column(
        "block_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Billingo's id of the document block (number range)",
    ),
    Column("series", Text, primary_key=True, comment="A series of which it is not known whether it began again"),
    Column("year", Integer, primary_key=True, autoincrement=False, comment="In this year"),
    Column("documents", Integer, nullable=False, comment="Documents of the year whose numbers are not judged"),
    comment="Series of numbers without a year that cannot be judged for a year",
)

rejected_documents = Table(
    "rejected_documents",
    metadata,
    _registered_company_id(),
    Column("content_hash", LargeBinary, primary_key=True, comment="SHA-256 of the content of the document as sent"),
    Column("document_id", BigInteger, comment="NULL when the document has no usable id"),
    Column("stage", Text, nullable=False, comment="fetch: not stored; normalize: stored in raw_invoices only"),
    Column("reason", Text, nullable=False, comment="Why it could not be understood, in words"),
    Column("payload", Text, nullable=False, comment="As sent; text, since what is broken need not be JSON"),
    Column("normalizer_version", Integer, comment="The rules it was judged by"),
    _moment("first_seen_at", comment="When this content was first seen"),
    _moment("last_seen_at", comment="When this content was last seen"),
    *_numbering(),
    Index(None, "company_id", "document_id"),
    CheckConstraint("stage IN ('fetch', 'normalize')", name="stage"),
    comment="Quarantine: documents that could not be understood, and why",
)

accepted_faults = Table(
    "accepted_faults",
    metadata,
    _registered_company_id(),
    Column("check_name", Text, primary_key=True, comment="The check that no longer warns of the document"),
    Column(
        "content_hash",
        LargeBinary,
        primary_key=True,
        comment="The content that was accepted; of any other the check warns",
    ),
    Column("document_id", BigInteger, comment="NULL when the document has no usable id"),
    _moment("accepted_at", comment="When it was accepted"),
    Column("accepted_by", Text, nullable=False, comment="As in audit_log"),
    CheckConstraint("check_name IN ('no_rejected_documents', 'totals_reconcile')", name="check_name"),
    comment="Documents of which a check no longer warns, and who accepted that",
)

invoices = Table(
    "invoices",
    metadata,
    _company_id(),
    *_normalized(INVOICE_COLUMNS, key=("id",)),
    _moment("deleted_at", nullable=True, comment="When a sync found that Billingo no longer has it"),
    Column("content_hash", LargeBinary, nullable=False, comment="The raw document this row was made from"),
    Column("normalizer_version", Integer, nullable=False, comment="The rules this row was made by"),
    _moment("normalized_at", comment="When this row was made"),
    Column(
        "unreconciled_by",
        Numeric,
        comment="Difference between its totals that rounding does not explain; NULL when there is none",
    ),
    Column(
        UNREADABLE,
        Text,
        comment="Columns that are NULL since what was sent for them could not be read, separated by commas",
    ),
    Column(
        "totals_judged",
        Boolean,
        comment="Whether enough is known of its totals to say that they agree, or do not",
    ),
    PrimaryKeyConstraint("company_id", "id", postgresql_include=["content_hash", "normalizer_version", "deleted_at"]),
    Index(None, "company_id", "invoice_date"),
    Index("invoices_unjudged_idx", "company_id", postgresql_where=text("NOT totals_judged")),
    Index("invoices_unreadable_idx", "company_id", postgresql_where=text("unreadable IS NOT NULL")),
    Index("invoices_unreconciled_idx", "company_id", postgresql_where=text("unreconciled_by IS NOT NULL")),
    comment="One row for each document of every type, drafts too: filter by type and deleted_at",
)

invoice_items = Table(
    "invoice_items",
    metadata,
    _company_id(),
    *_normalized(ITEM_COLUMNS, key=("invoice_id", "position")),
    comment="The lines of documents that are not deleted",
)

related_documents = Table(
    "related_documents",
    metadata,
    _company_id(),
    *_normalized(RELATED_COLUMNS, key=("invoice_id", "related_invoice_id")),
    comment="Links from a document to others: storno, correction, advance",
)

outages = Table(
    "outages",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="Counts the outages"),
    Column("company_id", Integer, ForeignKey(f"{SCHEMA}.companies.id"), comment="NULL: no company's alone"),
    Column("kind", Text, nullable=False, comment="run_failed, stale, no_api_key or the name of a check that failed"),
    Column("severity", Text, nullable=False, comment="warning or error"),
    Column("reason", Text, nullable=False, comment="Companies that are out for one reason are told of together"),
    Column("summary", Text, nullable=False, comment="What happened and what to do, in words"),
    Column("run_id", Text, comment="The Dagster run that shows it, if one does"),
    _moment("since", comment="When it was first seen"),
    _moment("told_at", nullable=True, comment="When the message about it was written"),
    Column("told_severity", Text, comment="How severe it was then"),
    Column("told_reason", Text, comment="The reason that was told"),
    _moment("ended_at", nullable=True, comment="When it was first seen to be over"),
    _moment("end_told_at", nullable=True, comment="When the message that it is over was written"),
    CheckConstraint("severity IN ('warning', 'error')", name="severity"),
    Index(
        "outages_open_idx",
        "company_id",
        "kind",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    ),
    comment="Problems that alerts report, from when they were first seen until they are over",
)

alert_messages = Table(
    "alert_messages",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="Counts the messages"),
    _moment("created_at", comment="When it was written"),
    Column("severity", Text, nullable=False, comment="warning, error, or recovery"),
    Column("title", Text, nullable=False, comment="Its subject"),
    Column("body", Text, nullable=False, comment="Its text"),
    CheckConstraint("severity IN ('warning', 'error', 'recovery')", name="severity"),
    comment="Messages that were written for the alert channels",
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column(
        "message_id",
        BigInteger,
        ForeignKey(f"{SCHEMA}.alert_messages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="alert_messages.id",
    ),
    Column("channel", Text, primary_key=True, comment="Hash of the channel's URL, which holds secrets"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="How often it was tried"),
    _moment("attempted_at", nullable=True, comment="When it was last tried"),
    _moment("delivered_at", nullable=True, comment="When the channel received it"),
    Index("alert_deliveries_pending_idx", "channel", "message_id", postgresql_where=text("delivered_at IS NULL")),
    comment="Which channel has received which message",
)

alert_reasons = Table(
    "alert_reasons",
    metadata,
    Column(
        "message_id",
        BigInteger,
        ForeignKey(f"{SCHEMA}.alert_messages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="alert_messages.id",
    ),
    Column(
        "outage_id",
        BigInteger,
        ForeignKey(f"{SCHEMA}.outages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="outages.id",
    ),
    comment="Why a message was sent: the outages that it reports, or reports as over",
)

company_readers = Table(
    "company_readers",
    metadata,
    Column("role_name", Text, primary_key=True, comment="The PostgreSQL role that may read the company"),
    Column("role_oid", OID, nullable=False, comment="Tells it from a later role of the same name"),
    _registered_company_id(),
    Column(
        "masked",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Only in the views of billingo_masked, without personal data",
    ),
    _moment("granted_at", comment="When it was granted"),
    comment="Which PostgreSQL role may read which company",
)

# Without a foreign key: what was done with a company is known when the company is gone.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="Counts the entries"),
    _moment("at", comment="When it was done, by the database's clock"),
    Column("actor", Text, nullable=False, comment="The user of the machine, or the run and what triggered it"),
    Column("action", Text, nullable=False, comment="What was done"),
    Column("company_id", Integer, comment="NULL: no company's alone. The company need not be there any more"),
    Column("company_key", Text, comment="The key of that company"),
    Column(
        "details",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="What else is worth knowing; never a secret",
    ),
    Column(
        "database_role",
        Text,
        nullable=False,
        server_default=text("SESSION_USER"),
        comment="Who was connected, as PostgreSQL knows",
    ),
    comment="Who did what to which company; rows are only added",
)
