"""Gives every table, view and column a comment, which tools that read the catalog show."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

COMMENTS = """
COMMENT ON TABLE billingo.alert_messages IS 'Messages that were written for the alert channels';
COMMENT ON TABLE billingo.audit_log IS 'Who did what to which company; rows are only added';
COMMENT ON TABLE billingo.companies IS 'The registered companies';
COMMENT ON TABLE billingo.invoice_items IS 'The lines of documents that are not deleted';
COMMENT ON TABLE billingo.invoices
    IS 'One row for each document of every type, drafts too: filter by type and deleted_at';
COMMENT ON TABLE billingo.related_documents IS 'Links from a document to others: storno, correction, advance';
COMMENT ON TABLE billingo.accepted_faults IS 'Documents that a check no longer warns about, and who accepted them';
COMMENT ON TABLE billingo.alert_deliveries IS 'Which channel has received which message';
COMMENT ON TABLE billingo.ambiguous_numbers
    IS 'Series without a year in their numbers, where it is unknown whether they began again in a year';
COMMENT ON TABLE billingo.company_readers IS 'Which PostgreSQL role may read which company';
COMMENT ON TABLE billingo.listing_differences
    IS 'Companies of which Billingo counts more or fewer documents than its pages show';
COMMENT ON TABLE billingo.listings IS 'Full syncs that run or were interrupted: how far each has read';
COMMENT ON TABLE billingo.number_gaps IS 'Missing invoice numbers: each row is a run of numbers that no document has';
COMMENT ON TABLE billingo.outages
    IS 'Problems that alerts report, from when they were first seen until they are over';
COMMENT ON TABLE billingo.raw_invoice_versions
    IS 'Former contents of documents; raw_invoice_history has the present ones too';
COMMENT ON TABLE billingo.raw_invoices IS 'Every document of every company, as Billingo sent it';
COMMENT ON TABLE billingo.rejected_documents IS 'Quarantine: documents that could not be understood, and why';
COMMENT ON TABLE billingo.sync_state IS 'The last complete sync of each company';
COMMENT ON TABLE billingo.listing_pages IS 'Which documents the pages of an unfinished full sync have shown';
COMMENT ON COLUMN billingo.alert_messages.id IS 'Number of the message';
COMMENT ON COLUMN billingo.alert_messages.created_at IS 'When it was written';
COMMENT ON COLUMN billingo.alert_messages.title IS 'Its subject';
COMMENT ON COLUMN billingo.alert_messages.body IS 'Its text';
COMMENT ON COLUMN billingo.audit_log.id IS 'Number of the entry';
COMMENT ON COLUMN billingo.audit_log.at IS 'When it was done, by the database''s clock';
COMMENT ON COLUMN billingo.audit_log.action IS 'What was done';
COMMENT ON COLUMN billingo.audit_log.company_key IS 'The key of that company';
COMMENT ON COLUMN billingo.companies.id IS 'company_id in the other tables';
COMMENT ON COLUMN billingo.companies.name IS 'The company''s name, for people';
COMMENT ON COLUMN billingo.companies.enabled IS 'Whether it is synced';
COMMENT ON COLUMN billingo.companies.schedule IS 'How often it is synced: daily, twice-daily, hourly, weekly or manual';
COMMENT ON COLUMN billingo.companies.created_at IS 'When it was registered';
COMMENT ON COLUMN billingo.companies.updated_at IS 'When its entry last changed';
COMMENT ON COLUMN billingo.companies.removed_at IS 'When it was removed; its documents stay';
COMMENT ON COLUMN billingo.invoices.deleted_at IS 'When a sync found that Billingo no longer has it';
COMMENT ON COLUMN billingo.invoices.normalized_at IS 'When this row was made';
COMMENT ON COLUMN billingo.accepted_faults.accepted_at IS 'When it was accepted';
COMMENT ON COLUMN billingo.alert_deliveries.message_id IS 'alert_messages.id';
COMMENT ON COLUMN billingo.alert_deliveries.attempts IS 'How often it was tried';
COMMENT ON COLUMN billingo.alert_deliveries.attempted_at IS 'When it was last tried';
COMMENT ON COLUMN billingo.alert_deliveries.delivered_at IS 'When the channel received it';
COMMENT ON COLUMN billingo.company_readers.granted_at IS 'When it was granted';
COMMENT ON COLUMN billingo.listing_differences.first_seen_at IS 'When it was first found';
COMMENT ON COLUMN billingo.listing_differences.last_seen_at IS 'When it was last found';
COMMENT ON COLUMN billingo.listing_differences.accepted_at IS 'When it was accepted';
COMMENT ON COLUMN billingo.number_gaps.found_at IS 'When the gap was first found';
COMMENT ON COLUMN billingo.outages.id IS 'Number of the outage';
COMMENT ON COLUMN billingo.outages.severity IS 'warning or error';
COMMENT ON COLUMN billingo.raw_invoice_versions.document_id IS 'Billingo''s id of the document';
COMMENT ON COLUMN billingo.raw_invoice_versions.version IS 'Number of this content, from 1';
COMMENT ON COLUMN billingo.raw_invoices.document_id IS 'Billingo''s id of the document';
COMMENT ON COLUMN billingo.raw_invoices.first_synced_at IS 'When the document was first stored';
COMMENT ON COLUMN billingo.raw_invoices.changed_at IS 'When its content or its deleted_at last changed';
COMMENT ON COLUMN billingo.raw_invoices.deleted_at IS 'When a sync found that Billingo no longer has it';
COMMENT ON COLUMN billingo.rejected_documents.reason IS 'Why it could not be understood, in words';
COMMENT ON COLUMN billingo.rejected_documents.first_seen_at IS 'When this content was first seen';
COMMENT ON COLUMN billingo.rejected_documents.last_seen_at IS 'When this content was last seen';
COMMENT ON COLUMN billingo.sync_state.synced_at IS 'When the last complete sync ended';
COMMENT ON COLUMN billingo.companies.key IS 'Name of the company in commands, and its partition key; it never changes';
COMMENT ON COLUMN billingo.companies.tax_code
    IS 'Tax code that Billingo returns for its API key; every sync compares it';
COMMENT ON COLUMN billingo.companies.api_key_encrypted
    IS 'The API key, encrypted (Fernet); NULL once the company is removed';
COMMENT ON COLUMN billingo.companies.is_demo IS 'Whether it is an invented company of the demo';
COMMENT ON COLUMN billingo.companies.expected_since
    IS 'When it was added, enabled or given its rhythm: since then syncs are expected';
COMMENT ON COLUMN billingo.sync_state.watermark IS 'Billingo''s clock when the last complete sync started';
COMMENT ON COLUMN billingo.sync_state.mode IS 'full: every document was read; incremental: only new and changed ones';
COMMENT ON COLUMN billingo.sync_state.unlisted
    IS 'Documents held minus api_total: those that no listing shows, or the accepted difference';
COMMENT ON COLUMN billingo.sync_state.number_rules
    IS 'Version of the rules by which the numbers of its documents were read';
COMMENT ON COLUMN billingo.raw_invoices.content_hash
    IS 'SHA-256 of the document''s content, without the paid_date of an unpaid document';
COMMENT ON COLUMN billingo.raw_invoices.item_count IS 'Number of its lines, counted when it was received';
COMMENT ON COLUMN billingo.raw_invoices.version
    IS 'Number of its present content, from 1; former contents are in raw_invoice_versions';
COMMENT ON COLUMN billingo.raw_invoice_versions.content_hash
    IS 'SHA-256 of the document''s content, without the paid_date of an unpaid document';
COMMENT ON COLUMN billingo.raw_invoice_versions.valid_to
    IS 'When a sync first saw other content, or that the document was gone';
COMMENT ON COLUMN billingo.listings.started_at IS 'Billingo''s clock when the first page was requested';
COMMENT ON COLUMN billingo.listings.begun_at IS 'The database''s clock at that moment';
COMMENT ON COLUMN billingo.listings.total IS 'Number of documents according to the first page';
COMMENT ON COLUMN billingo.listings.next_page IS 'The first page that is not stored yet';
COMMENT ON COLUMN billingo.listings.totals IS 'Numbers of documents according to the later pages';
COMMENT ON COLUMN billingo.listings.page_size IS 'Documents on a page; next_page counts pages of this size';
COMMENT ON COLUMN billingo.listing_pages.place IS 'Order in which the documents were stored, from 1';
COMMENT ON COLUMN billingo.listing_pages.arrived IS 'Whether these documents were created after the listing began';
COMMENT ON COLUMN billingo.listing_pages.document_ids IS 'Ids of the documents shown, stored or not';
COMMENT ON COLUMN billingo.listing_pages.broken_hashes IS 'Hashes of the documents shown that could not be stored';
COMMENT ON COLUMN billingo.listing_differences.difference
    IS 'What Billingo counts minus what its pages show; NULL if that changed while they were read';
COMMENT ON COLUMN billingo.listing_differences.times IS 'Syncs in a row that found it and failed';
COMMENT ON COLUMN billingo.listing_differences.accepted
    IS 'The difference that was accepted: syncs succeed in spite of it';
COMMENT ON COLUMN billingo.listing_differences.accepted_by IS 'Who accepted it, as actor in audit_log';
COMMENT ON COLUMN billingo.number_gaps.year IS 'Year of the document before the gap';
COMMENT ON COLUMN billingo.number_gaps.first_number IS 'First missing number';
COMMENT ON COLUMN billingo.number_gaps.last_number IS 'Last missing number';
COMMENT ON COLUMN billingo.number_gaps.asked_at IS 'When Billingo was last asked for these numbers';
COMMENT ON COLUMN billingo.number_gaps.series IS 'Prefix and year that the numbers around the gap have in common';
COMMENT ON COLUMN billingo.number_gaps.last_year IS 'Year of the document after the gap';
COMMENT ON COLUMN billingo.number_gaps.accepted_at IS 'When the gap was accepted; the check no longer warns about it';
COMMENT ON COLUMN billingo.ambiguous_numbers.series IS 'Prefix that the numbers have in common';
COMMENT ON COLUMN billingo.ambiguous_numbers.year IS 'The year in which the series may have begun again';
COMMENT ON COLUMN billingo.ambiguous_numbers.documents IS 'Documents of that year whose numbers cannot be judged';
COMMENT ON COLUMN billingo.rejected_documents.content_hash
    IS 'SHA-256 of the document''s content, without the paid_date of an unpaid document';
COMMENT ON COLUMN billingo.rejected_documents.stage
    IS 'fetch: this content is in no other table; normalize: it is in raw_invoices';
COMMENT ON COLUMN billingo.rejected_documents.payload
    IS 'The document as sent; text, because it need not be valid JSON';
COMMENT ON COLUMN billingo.rejected_documents.normalizer_version
    IS 'Version of the rules that rejected it; NULL in stage fetch';
COMMENT ON COLUMN billingo.accepted_faults.check_name IS 'The check that no longer warns about the document';
COMMENT ON COLUMN billingo.accepted_faults.content_hash
    IS 'Hash of the content that was accepted; the check warns about any other';
COMMENT ON COLUMN billingo.accepted_faults.accepted_by IS 'Who accepted it, as actor in audit_log';
COMMENT ON COLUMN billingo.invoices.content_hash
    IS 'content_hash in raw_invoices of the content that this row was made from';
COMMENT ON COLUMN billingo.invoices.normalizer_version IS 'Version of the rules by which this row was made';
COMMENT ON COLUMN billingo.invoices.unreadable
    IS 'Columns that are NULL because their values could not be read, separated by commas';
COMMENT ON COLUMN billingo.invoices.totals_judged
    IS 'Whether its totals could be compared; false if an amount, the discount or the rounding is not known';
COMMENT ON COLUMN billingo.outages.company_id IS 'NULL if it concerns no single company';
COMMENT ON COLUMN billingo.outages.kind
    IS 'run_failed, stale, no_api_key, the name of a check that failed, or job: and the name of a job';
COMMENT ON COLUMN billingo.outages.reason IS 'The cause; companies with the same cause share one message';
COMMENT ON COLUMN billingo.outages.run_id IS 'The Dagster run that shows it, if any';
COMMENT ON COLUMN billingo.outages.told_severity IS 'The severity in that message';
COMMENT ON COLUMN billingo.outages.told_reason IS 'The cause in that message';
COMMENT ON COLUMN billingo.company_readers.role_oid IS 'Distinguishes the role from a later one of the same name';
COMMENT ON COLUMN billingo.company_readers.masked
    IS 'Whether the role sees only the views in billingo_masked, without personal data';
COMMENT ON COLUMN billingo.audit_log.company_id
    IS 'NULL if it concerns no single company; the company may have been erased since';
COMMENT ON COLUMN billingo.audit_log.details IS 'Further facts; never a secret';
COMMENT ON COLUMN billingo.audit_log.database_role IS 'The role that was connected to PostgreSQL';
COMMENT ON COLUMN billingo.raw_invoices.number_series IS 'Prefix and year of invoice_number, spelled uniformly';
COMMENT ON COLUMN billingo.rejected_documents.number_series IS 'Prefix and year of invoice_number, spelled uniformly';
COMMENT ON COLUMN billingo.raw_invoices.number_judged
    IS 'Whether invoice_number can be read in only one way; NULL if there is none';
COMMENT ON COLUMN billingo.rejected_documents.number_judged
    IS 'Whether invoice_number can be read in only one way; NULL if there is none';
COMMENT ON COLUMN billingo.invoices.invoice_number IS 'Number printed on the document; NULL on drafts';
COMMENT ON COLUMN billingo.invoices.type
    IS 'Document type: invoice, cancellation (storno), modification, advance, receipt, proforma, draft, …';
COMMENT ON COLUMN billingo.invoices.correction_type
    IS 'Type of correction; Billingo repeats `type` on ordinary documents';
COMMENT ON COLUMN billingo.invoices.conversion_rate IS 'Local currency (HUF) per unit of `currency`';
COMMENT ON COLUMN billingo.invoices.due_date IS 'Payment deadline';
COMMENT ON COLUMN billingo.invoices.paid_date
    IS 'Date of payment; NULL unless payment_status is paid or partially_paid';
COMMENT ON COLUMN billingo.invoices.organization_swift IS 'SWIFT code of the issuer''s bank';
COMMENT ON COLUMN billingo.invoices.partner_swift IS 'SWIFT code of the partner''s bank';
COMMENT ON COLUMN billingo.invoices.online_szamla_status
    IS 'State of its report to the tax authority (NAV Online Számla)';
COMMENT ON COLUMN billingo.invoices.rounding IS 'Unit to which its total is rounded: none, one, five or ten';
COMMENT ON COLUMN billingo.invoices.discount_type IS 'Unit of `discount_value`: percent';
COMMENT ON COLUMN billingo.invoice_items.product_id IS 'Billingo''s id of the product; NULL if the line names none';
COMMENT ON COLUMN billingo.invoice_items.name IS 'Name of the product or service';
COMMENT ON COLUMN billingo.invoice_items.net_amount IS 'Amount of the line without VAT, in the document''s currency';
COMMENT ON COLUMN billingo.invoice_items.vat_amount IS 'VAT of the line, in the document''s currency';
COMMENT ON COLUMN billingo.invoice_items.gross_amount IS 'Amount of the line with VAT, in the document''s currency';
COMMENT ON COLUMN billingo.invoice_items.entitlement IS 'Legal ground for an exemption from VAT';
COMMENT ON COLUMN billingo.related_documents.related_invoice_id
    IS 'The document referred to; it need not be in invoices';
"""

OF_A_COMPANY = (
    "billingo.invoice_items",
    "billingo.invoices",
    "billingo.related_documents",
    "billingo.accepted_faults",
    "billingo.ambiguous_numbers",
    "billingo.company_readers",
    "billingo.listing_differences",
    "billingo.listings",
    "billingo.number_gaps",
    "billingo.raw_invoice_versions",
    "billingo.raw_invoices",
    "billingo.rejected_documents",
    "billingo.sync_state",
    "billingo.listing_pages",
)

VIEWS = """
COMMENT ON VIEW billingo.raw_invoice_history IS 'All contents of each document, the present one too';
COMMENT ON VIEW billingo_masked.companies IS 'The companies that were granted to the reader';
COMMENT ON VIEW billingo_masked.invoices IS 'invoices without personal data';
COMMENT ON VIEW billingo_masked.invoice_items IS 'invoice_items without text that may name a person';
COMMENT ON VIEW billingo_masked.related_documents IS 'related_documents of the companies that were granted';
"""


def upgrade() -> None:
    """Set the comments."""
    op.execute(COMMENTS)
    for table in OF_A_COMPANY:
        op.execute(f"COMMENT ON COLUMN {table}.company_id IS 'companies.id'")
    op.execute(VIEWS)
