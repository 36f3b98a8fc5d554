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
        Column("number_series", Text, comment="Prefix and year of invoice_number, spelled uniformly"),
        Column("number_year", Integer, comment="The year in invoice_number, else that of invoice_date"),
        Column("number", BigInteger, comment="The running number in invoice_number"),
        Column(
            "number_judged",
            Boolean,
            comment="Whether invoice_number can be read in only one way; NULL if there is none",
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
    Column(
        "key",
        Text,
        nullable=False,
        unique=True,
        comment="Name of the company in commands, and its partition key; it never changes",
    ),
    Column("name", Text, nullable=False, comment="The company's name, for people"),
    Column("tax_code", Text, comment="Tax code that Billingo returns for its API key; every sync compares it"),
    Column("api_key_encrypted", Text, comment="The API key, encrypted (Fernet); NULL once the company is removed"),
    Column(
        "is_demo",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether it is an invented company of the demo",
    ),
    Column("enabled", Boolean, nullable=False, server_default=text("true"), comment="Whether it is synced"),
    Column(
        "schedule",
        Text,
        nullable=False,
        server_default=text("'daily'"),
        comment="How often it is synced: daily, twice-daily, hourly, weekly or manual",
    ),
    _moment("created_at", comment="When it was registered"),
    _moment("updated_at", comment="When its entry last changed"),
    _moment("removed_at", nullable=True, comment="When it was removed; its documents stay"),
    _moment("expected_since", comment="When it was added, enabled or given its rhythm: since then syncs are expected"),
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
    Column(
        "watermark",
        DateTime(timezone=True),
        nullable=False,
        comment="Billingo's clock when the last complete sync started",
    ),
    Column("run_id", Text, nullable=False, comment="The Dagster run that last synced the company"),
    Column("api_total", Integer, nullable=False, comment="Documents the API reported at the end of that run"),
    _moment("synced_at", comment="When the last complete sync ended"),
    Column(
        "mode",
        Text,
        nullable=False,
        server_default=text("'full'"),
        comment="full: every document was read; incremental: only new and changed ones",
    ),
    _moment("full_synced_at", comment="When the last full sync ended"),
    Column(
        "unlisted",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Documents held minus api_total: those that no listing shows, or the accepted difference",
    ),
    Column(
        "number_rules",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Version of the rules by which the numbers of its documents were read",
    ),
    CheckConstraint("mode IN ('full', 'incremental')", name="mode"),
    comment="The last complete sync of each company",
)

raw_invoices = Table(
    "raw_invoices",
    metadata,
    _registered_company_id(),
    Column("document_id", BigInteger, primary_key=True, autoincrement=False, comment="Billingo's id of the document"),
    Column("payload", JSONB, nullable=False, comment="The document as Billingo sent it"),
    Column(
        "content_hash",
        LargeBinary,
        nullable=False,
        comment="SHA-256 of the document's content, without the paid_date of an unpaid document",
    ),
    Column("item_count", Integer, nullable=False, comment="Number of its lines, counted when it was received"),
    _moment("first_synced_at", comment="When the document was first stored"),
    _moment("changed_at", comment="When its content or its deleted_at last changed"),
    _moment("deleted_at", nullable=True, comment="When a sync found that Billingo no longer has it"),
    Column(
        "version",
        Integer,
        nullable=False,
        server_default=text("1"),
        comment="Number of its present content, from 1; former contents are in raw_invoice_versions",
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
    Column("version", Integer, primary_key=True, autoincrement=False, comment="Number of this content, from 1"),
    Column("payload", JSONB, nullable=False, comment="The document as Billingo sent it then"),
    Column(
        "content_hash",
        LargeBinary,
        nullable=False,
        comment="SHA-256 of the document's content, without the paid_date of an unpaid document",
    ),
    Column("valid_from", DateTime(timezone=True), nullable=False, comment="When a sync first saw this content"),
    Column(
        "valid_to",
        DateTime(timezone=True),
        nullable=False,
        comment="When a sync first saw other content, or that the document was gone",
    ),
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
        comment="Billingo's clock when the first page was requested",
    ),
    _moment("begun_at", comment="The database's clock at that moment"),
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
    comment="Which documents the pages of an unfinished full sync have shown",
)

listing_differences = Table(
    "listing_differences",
    metadata,
    _registered_company_id(),
    Column(
        "difference",
        Integer,
        comment="What Billingo counts minus what its pages show; NULL if that changed while they were read",
    ),
    Column("times", Integer, nullable=False, comment="Syncs in a row that found it and failed"),
    _moment("first_seen_at", comment="When it was first found"),
    _moment("last_seen_at", comment="When it was last found"),
    Column("accepted", Integer, comment="The difference that was accepted: syncs succeed in spite of it"),
    _moment("accepted_at", nullable=True, comment="When it was accepted"),
    Column("accepted_by", Text, comment="Who accepted it, as actor in audit_log"),
    comment="Companies of which Billingo counts more or fewer documents than its pages show",
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
    Column("year", Integer, primary_key=True, autoincrement=False, comment="Year of the document before the gap"),
    Column(
        "first_number",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="First missing number",
    ),
    Column("last_number", BigInteger, nullable=False, comment="Last missing number"),
    _moment("found_at", comment="When the gap was first found"),
    _moment("asked_at", nullable=True, comment="When Billingo was last asked for these numbers"),
    Column("series", Text, primary_key=True, comment="Prefix and year that the numbers around the gap have in common"),
    Column("last_year", Integer, nullable=False, comment="Year of the document after the gap"),
    Column(
        "gapless",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="Whether the series holds documents whose numbers have to run without gaps",
    ),
    _moment("accepted_at", nullable=True, comment="When the gap was accepted; the check no longer warns about it"),
    PrimaryKeyConstraint("company_id", "block_id", "series", "year", "first_number"),
    comment="Missing invoice numbers: each row is a run of numbers that no document has",
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
    Column("series", Text, primary_key=True, comment="Prefix that the numbers have in common"),
    Column(
        "year",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="The year in which the series may have begun again",
    ),
    Column("documents", Integer, nullable=False, comment="Documents of that year whose numbers cannot be judged"),
    comment="Series without a year in their numbers, where it is unknown whether they began again in a year",
)

rejected_documents = Table(
    "rejected_documents",
    metadata,
    _registered_company_id(),
    Column(
        "content_hash",
        LargeBinary,
        primary_key=True,
        comment="SHA-256 of the document's content, without the paid_date of an unpaid document",
    ),
    Column("document_id", BigInteger, comment="NULL when the document has no usable id"),
    Column(
        "stage",
        Text,
        nullable=False,
        comment="fetch: this content is in no other table; normalize: it is in raw_invoices",
    ),
    Column("reason", Text, nullable=False, comment="Why it could not be understood, in words"),
    Column("payload", Text, nullable=False, comment="The document as sent; text, because it need not be valid JSON"),
    Column("normalizer_version", Integer, comment="Version of the rules that rejected it; NULL in stage fetch"),
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
    Column("check_name", Text, primary_key=True, comment="The check that no longer warns about the document"),
    Column(
        "content_hash",
        LargeBinary,
        primary_key=True,
        comment="Hash of the content that was accepted; the check warns about any other",
    ),
    Column("document_id", BigInteger, comment="NULL when the document has no usable id"),
    _moment("accepted_at", comment="When it was accepted"),
    Column("accepted_by", Text, nullable=False, comment="Who accepted it, as actor in audit_log"),
    CheckConstraint("check_name IN ('no_rejected_documents', 'totals_reconcile')", name="check_name"),
    comment="Documents that a check no longer warns about, and who accepted them",
)

invoices = Table(
    "invoices",
    metadata,
    _company_id(),
    *_normalized(INVOICE_COLUMNS, key=("id",)),
    _moment("deleted_at", nullable=True, comment="When a sync found that Billingo no longer has it"),
    Column(
        "content_hash",
        LargeBinary,
        nullable=False,
        comment="content_hash in raw_invoices of the content that this row was made from",
    ),
    Column("normalizer_version", Integer, nullable=False, comment="Version of the rules by which this row was made"),
    _moment("normalized_at", comment="When this row was made"),
    Column(
        "unreconciled_by",
        Numeric,
        comment="Difference between its totals that rounding does not explain; NULL when there is none",
    ),
    Column(
        UNREADABLE,
        Text,
        comment="Columns that are NULL because their values could not be read, separated by commas",
    ),
    Column(
        "totals_judged",
        Boolean,
        comment="Whether its totals could be compared; false if an amount, the discount or the rounding is not known",
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
    Column("id", BigInteger, Identity(), primary_key=True, comment="Number of the outage"),
    Column(
        "company_id", Integer, ForeignKey(f"{SCHEMA}.companies.id"), comment="NULL if it concerns no single company"
    ),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="run_failed, stale, no_api_key, the name of a check that failed, or job: and the name of a job",
    ),
    Column("severity", Text, nullable=False, comment="warning or error"),
    Column("reason", Text, nullable=False, comment="The cause; companies with the same cause share one message"),
    Column("summary", Text, nullable=False, comment="What happened and what to do, in words"),
    Column("run_id", Text, comment="The Dagster run that shows it, if any"),
    _moment("since", comment="When it was first seen"),
    _moment("told_at", nullable=True, comment="When the message about it was written"),
    Column("told_severity", Text, comment="The severity in that message"),
    Column("told_reason", Text, comment="The cause in that message"),
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
    Column("id", BigInteger, Identity(), primary_key=True, comment="Number of the message"),
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
    Column("role_oid", OID, nullable=False, comment="Distinguishes the role from a later one of the same name"),
    _registered_company_id(),
    Column(
        "masked",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether the role sees only the views in billingo_masked, without personal data",
    ),
    _moment("granted_at", comment="When it was granted"),
    comment="Which PostgreSQL role may read which company",
)

# Without a foreign key: what was done with a company is known when the company is gone.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="Number of the entry"),
    _moment("at", comment="When it was done, by the database's clock"),
    Column("actor", Text, nullable=False, comment="The user of the machine, or the run and what triggered it"),
    Column("action", Text, nullable=False, comment="What was done"),
    Column(
        "company_id", Integer, comment="NULL if it concerns no single company; the company may have been erased since"
    ),
    Column("company_key", Text, comment="The key of that company"),
    Column(
        "details",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="Further facts; never a secret",
    ),
    Column(
        "database_role",
        Text,
        nullable=False,
        server_default=text("SESSION_USER"),
        comment="The role that was connected to PostgreSQL",
    ),
    comment="Who did what to which company; rows are only added",
)
