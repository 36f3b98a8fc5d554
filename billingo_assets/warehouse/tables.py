"""The tables of the schema `billingo`, as SQLAlchemy Core metadata. `migrations` create them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, OID

from billingo_assets.streams import DOCUMENTS, STREAMS
from billingo_assets.streams.documents import INVOICE_ITEMS, RELATED_DOCUMENTS
from billingo_assets.warehouse.alert_tables import alert_deliveries, alert_messages, alert_reasons, outages
from billingo_assets.warehouse.listing_tables import listing_differences, listing_pages, listings
from billingo_assets.warehouse.schema import (
    KEEPS,
    READS,
    SCHEMA,
    WRITES,
    company_id,
    define_table,
    metadata,
    moment,
    stream_column,
)
from billingo_assets.warehouse.stream_tables import (
    define_stream_tables,
    detail_table,
    raw_table,
    record_table,
    versions_table,
)

__all__ = [
    "SCHEMA",
    "alert_deliveries",
    "alert_messages",
    "alert_reasons",
    "listing_differences",
    "listing_pages",
    "listings",
    "metadata",
    "outages",
]


def _numbering() -> list[Column[object]]:
    """Make the columns for the number of a document, as `normalize.numbering` reads it."""
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


companies = define_table(
    "companies",
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
    moment("created_at", comment="When it was registered"),
    moment("updated_at", comment="When its entry last changed"),
    moment("removed_at", nullable=True, comment="When it was removed; its documents stay"),
    moment("expected_since", comment="When it was added, enabled or given its rhythm: since then syncs are expected"),
    CheckConstraint(
        "schedule IN ('daily', 'twice-daily', 'hourly', 'weekly', 'manual')",
        name="schedule",
    ),
    comment="The registered companies",
    pipeline=KEEPS,
    # Without the API keys, even though they are encrypted.
    readers="SELECT (id, key, name, tax_code, is_demo, enabled, schedule, created_at, updated_at, removed_at)",
    exported=True,
)

sync_state = define_table(
    "sync_state",
    company_id(),
    stream_column(),
    Column(
        "watermark",
        DateTime(timezone=True),
        nullable=False,
        comment="Billingo's clock when the last complete sync started",
    ),
    Column("run_id", Text, nullable=False, comment="The Dagster run that last synced the company"),
    Column("api_total", Integer, nullable=False, comment="Documents the API reported at the end of that run"),
    moment("synced_at", comment="When the last complete sync ended"),
    Column(
        "mode",
        Text,
        nullable=False,
        server_default=text("'full'"),
        comment="full: every document was read; incremental: only new and changed ones",
    ),
    moment("full_synced_at", comment="When the last full sync ended"),
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
    comment="The last complete sync of each stream of each company",
    pipeline=KEEPS,
    readers=READS,
    exported=True,
)

raw_invoices = raw_table(
    DOCUMENTS,
    Column("item_count", Integer, nullable=False, comment="Number of its lines, counted when it was received"),
    *_numbering(),
    # The index contains the hash that shows an unchanged document, so that comparing a company reads no payloads.
    PrimaryKeyConstraint("company_id", "document_id", postgresql_include=["content_hash", "item_count", "deleted_at"]),
    Index("raw_invoices_unjudged_idx", "company_id", postgresql_where=text("NOT number_judged")),
)

raw_invoice_versions = versions_table(DOCUMENTS)

invoices = record_table(
    DOCUMENTS,
    Column(
        "unreconciled_by",
        Numeric,
        comment="Difference between its totals that rounding does not explain; NULL when there is none",
    ),
    Column(
        "totals_judged",
        Boolean,
        comment="Whether its totals could be compared; false if an amount, the discount or the rounding is not known",
    ),
    Index(None, "company_id", "invoice_date"),
    Index("invoices_unjudged_idx", "company_id", postgresql_where=text("NOT totals_judged")),
    Index("invoices_unreconciled_idx", "company_id", postgresql_where=text("unreconciled_by IS NOT NULL")),
)

invoice_items = detail_table(INVOICE_ITEMS)

related_documents = detail_table(RELATED_DOCUMENTS)

for stream in STREAMS:
    if stream is not DOCUMENTS:
        define_stream_tables(stream)

number_gaps = define_table(
    "number_gaps",
    company_id(),
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
    moment("found_at", comment="When the gap was first found"),
    moment("asked_at", nullable=True, comment="When Billingo was last asked for these numbers"),
    Column("series", Text, primary_key=True, comment="Prefix and year that the numbers around the gap have in common"),
    Column("last_year", Integer, nullable=False, comment="Year of the document after the gap"),
    Column(
        "gapless",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="Whether the series holds documents whose numbers have to run without gaps",
    ),
    moment("accepted_at", nullable=True, comment="When the gap was accepted; the check no longer warns about it"),
    PrimaryKeyConstraint("company_id", "block_id", "series", "year", "first_number"),
    comment="Missing invoice numbers: each row is a run of numbers that no document has",
    pipeline=WRITES,
    readers=READS,
    exported=True,
)

ambiguous_numbers = define_table(
    "ambiguous_numbers",
    company_id(),
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
    pipeline=WRITES,
    readers=READS,
    exported=True,
)

rejected_documents = define_table(
    "rejected_documents",
    company_id(),
    stream_column(),
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
    moment("first_seen_at", comment="When this content was first seen"),
    moment("last_seen_at", comment="When this content was last seen"),
    *_numbering(),
    Index(None, "company_id", "document_id"),
    CheckConstraint("stage IN ('fetch', 'normalize')", name="stage"),
    comment="Quarantine: documents that could not be understood, and why",
    pipeline=WRITES,
    readers=READS,
    exported=True,
)

accepted_faults = define_table(
    "accepted_faults",
    company_id(),
    Column("check_name", Text, primary_key=True, comment="The check that no longer warns about the document"),
    Column(
        "content_hash",
        LargeBinary,
        primary_key=True,
        comment="Hash of the content that was accepted; the check warns about any other",
    ),
    Column("document_id", BigInteger, comment="NULL when the document has no usable id"),
    moment("accepted_at", comment="When it was accepted"),
    Column("accepted_by", Text, nullable=False, comment="Who accepted it, as actor in audit_log"),
    CheckConstraint("check_name IN ('no_rejected_documents', 'totals_reconcile')", name="check_name"),
    comment="Documents that a check no longer warns about, and who accepted them",
    pipeline=WRITES,
    readers=READS,
    exported=True,
)

company_readers = define_table(
    "company_readers",
    Column("role_name", Text, primary_key=True, comment="The PostgreSQL role that may read the company"),
    Column("role_oid", OID, nullable=False, comment="Distinguishes the role from a later one of the same name"),
    company_id(),
    Column(
        "masked",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="Whether the role sees only the views in billingo_masked, without personal data",
    ),
    moment("granted_at", comment="When it was granted"),
    comment="Which PostgreSQL role may read which company",
    pipeline=READS,
    readers=READS,
)

# Without a foreign key: the records of a company outlive it.
audit_log = define_table(
    "audit_log",
    Column("id", BigInteger, Identity(), primary_key=True, comment="Number of the entry"),
    moment("at", comment="When it was done, by the database's clock"),
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
    # Without `at` and `id`: only the database dates a record.
    pipeline="SELECT, INSERT (actor, action, company_id, company_key, details)",
    exported=True,
)
