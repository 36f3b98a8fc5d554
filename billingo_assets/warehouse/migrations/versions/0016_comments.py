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
COMMENT ON TABLE billingo.accepted_faults IS 'Documents of which a check no longer warns, and who accepted that';
COMMENT ON TABLE billingo.alert_deliveries IS 'Which channel has received which message';
COMMENT ON TABLE billingo.ambiguous_numbers IS 'Series of numbers without a year that cannot be judged for a year';
COMMENT ON TABLE billingo.company_readers IS 'Which PostgreSQL role may read which company';
COMMENT ON TABLE billingo.listing_differences
    IS 'Where Billingo counts other than it shows, and what was accepted of it';
COMMENT ON TABLE billingo.listings IS 'A full sync under way: how far its listing was read';
COMMENT ON TABLE billingo.number_gaps IS 'Runs of numbers that no document has';
COMMENT ON TABLE billingo.outages
    IS 'Problems that alerts report, from when they were first seen until they are over';
COMMENT ON TABLE billingo.raw_invoice_versions
    IS 'Former contents of documents; raw_invoice_history has the present ones too';
COMMENT ON TABLE billingo.raw_invoices IS 'Every document of every company, as Billingo sent it';
COMMENT ON TABLE billingo.rejected_documents IS 'Quarantine: documents that could not be understood, and why';
COMMENT ON TABLE billingo.sync_state IS 'The last whole sync of each company';
COMMENT ON TABLE billingo.listing_pages IS 'What the pages of a listing under way have shown';
COMMENT ON COLUMN billingo.alert_messages.id IS 'Counts the messages';
COMMENT ON COLUMN billingo.alert_messages.created_at IS 'When it was written';
COMMENT ON COLUMN billingo.alert_messages.title IS 'Its subject';
COMMENT ON COLUMN billingo.alert_messages.body IS 'Its text';
COMMENT ON COLUMN billingo.audit_log.id IS 'Counts the entries';
COMMENT ON COLUMN billingo.audit_log.at IS 'When it was done, by the database''s clock';
COMMENT ON COLUMN billingo.audit_log.action IS 'What was done';
COMMENT ON COLUMN billingo.audit_log.company_key IS 'The key of that company';
COMMENT ON COLUMN billingo.companies.id IS 'company_id in the other tables';
COMMENT ON COLUMN billingo.companies.name IS 'The company''s name, for people';
COMMENT ON COLUMN billingo.companies.enabled IS 'Whether it is synced';
COMMENT ON COLUMN billingo.companies.schedule IS 'The rhythm in which it is synced';
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
COMMENT ON COLUMN billingo.outages.id IS 'Counts the outages';
COMMENT ON COLUMN billingo.outages.severity IS 'warning or error';
COMMENT ON COLUMN billingo.raw_invoice_versions.document_id IS 'Billingo''s id of the document';
COMMENT ON COLUMN billingo.raw_invoice_versions.version IS 'Counts the contents, from 1';
COMMENT ON COLUMN billingo.raw_invoices.document_id IS 'Billingo''s id of the document';
COMMENT ON COLUMN billingo.raw_invoices.first_synced_at IS 'When the document was first stored';
COMMENT ON COLUMN billingo.raw_invoices.changed_at IS 'When its content, or whether it is deleted, last changed';
COMMENT ON COLUMN billingo.raw_invoices.deleted_at IS 'When a sync found that Billingo no longer has it';
COMMENT ON COLUMN billingo.rejected_documents.reason IS 'Why it could not be understood, in words';
COMMENT ON COLUMN billingo.rejected_documents.first_seen_at IS 'When this content was first seen';
COMMENT ON COLUMN billingo.rejected_documents.last_seen_at IS 'When this content was last seen';
COMMENT ON COLUMN billingo.sync_state.synced_at IS 'When the last whole sync ended';
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
