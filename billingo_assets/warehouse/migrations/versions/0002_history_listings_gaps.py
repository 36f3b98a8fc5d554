"""Superseded payloads, listings that survive a crash, gaps in the numbers, and indexes for what changed."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

CHANGES = r"""
ALTER TABLE billingo.raw_invoices
    ADD COLUMN version INTEGER DEFAULT 1 NOT NULL,
    ADD COLUMN block_id BIGINT,
    ADD COLUMN number_year INTEGER,
    ADD COLUMN number BIGINT,
    DROP CONSTRAINT raw_invoices_pkey,
    ADD CONSTRAINT raw_invoices_pkey PRIMARY KEY (company_id, document_id)
        INCLUDE (content_hash, item_count, deleted_at);
UPDATE billingo.raw_invoices
SET block_id = CASE WHEN payload ->> 'block_id' ~ '^[0-9]{1,18}$' THEN (payload ->> 'block_id')::bigint END,
    number_year = substring(payload ->> 'invoice_number' FROM '([0-9]{4})-[0-9]{1,18}$')::integer,
    number = substring(payload ->> 'invoice_number' FROM '[0-9]{4}-([0-9]{1,18})$')::bigint;
CREATE INDEX raw_invoices_changed_at_idx ON billingo.raw_invoices (company_id, changed_at);
COMMENT ON COLUMN billingo.raw_invoices.content_hash IS 'SHA-256 of the document as sent';
COMMENT ON COLUMN billingo.raw_invoices.version
    IS 'How often its content has changed, from 1; the former ones are in raw_invoice_versions';
COMMENT ON COLUMN billingo.raw_invoices.block_id IS 'The number range of invoice_number';
COMMENT ON COLUMN billingo.raw_invoices.number_year IS 'The year in invoice_number';
COMMENT ON COLUMN billingo.raw_invoices.number IS 'The running number at the end of invoice_number';

CREATE TABLE billingo.raw_invoice_versions (
    company_id INTEGER NOT NULL,
    document_id BIGINT NOT NULL,
    version INTEGER NOT NULL,
    payload JSONB NOT NULL,
    content_hash BYTEA NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT raw_invoice_versions_pkey PRIMARY KEY (company_id, document_id, version),
    CONSTRAINT raw_invoice_versions_company_id_fkey FOREIGN KEY(company_id) REFERENCES billingo.companies (id)
);
COMMENT ON COLUMN billingo.raw_invoice_versions.payload IS 'The document as Billingo sent it then';
COMMENT ON COLUMN billingo.raw_invoice_versions.content_hash IS 'SHA-256 of the document as sent';
COMMENT ON COLUMN billingo.raw_invoice_versions.valid_from IS 'When a sync first saw this content';
COMMENT ON COLUMN billingo.raw_invoice_versions.valid_to IS 'When a sync first saw other content, or none';

CREATE VIEW billingo.raw_invoice_history AS
SELECT company_id, document_id, version, payload, valid_from, valid_to FROM billingo.raw_invoice_versions
UNION ALL
SELECT company_id, document_id, version, payload, changed_at, deleted_at FROM billingo.raw_invoices;
COMMENT ON VIEW billingo.raw_invoice_history
    IS 'Every content that a document has had; valid_to is NULL while it has it';

CREATE TABLE billingo.listings (
    company_id INTEGER NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    begun_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    total INTEGER NOT NULL,
    next_page INTEGER NOT NULL,
    CONSTRAINT listings_pkey PRIMARY KEY (company_id),
    CONSTRAINT listings_company_id_fkey FOREIGN KEY(company_id) REFERENCES billingo.companies (id)
);
COMMENT ON COLUMN billingo.listings.started_at IS 'The clock of the API when its first page was asked for';
COMMENT ON COLUMN billingo.listings.begun_at IS 'The clock of the database then';
COMMENT ON COLUMN billingo.listings.total IS 'Documents that its first page told';
COMMENT ON COLUMN billingo.listings.next_page IS 'The first page that is not stored';

CREATE TABLE billingo.listing_pages (
    company_id INTEGER NOT NULL,
    place INTEGER NOT NULL,
    arrived BOOLEAN NOT NULL,
    document_ids BIGINT[] NOT NULL,
    broken_hashes BYTEA[] NOT NULL,
    CONSTRAINT listing_pages_pkey PRIMARY KEY (company_id, place),
    CONSTRAINT listing_pages_company_id_fkey FOREIGN KEY(company_id)
        REFERENCES billingo.listings (company_id) ON DELETE CASCADE
);
COMMENT ON COLUMN billingo.listing_pages.place IS 'Order in which its documents were stored, from 1';
COMMENT ON COLUMN billingo.listing_pages.arrived IS 'Whether they came into being after the listing began';
COMMENT ON COLUMN billingo.listing_pages.document_ids IS 'Documents shown, stored or not, that have a usable id';
COMMENT ON COLUMN billingo.listing_pages.broken_hashes IS 'Documents shown that could not be stored';

CREATE TABLE billingo.number_gaps (
    company_id INTEGER NOT NULL,
    block_id BIGINT NOT NULL,
    year INTEGER NOT NULL,
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT number_gaps_pkey PRIMARY KEY (company_id, block_id, year, first_number),
    CONSTRAINT number_gaps_company_id_fkey FOREIGN KEY(company_id) REFERENCES billingo.companies (id)
);
COMMENT ON COLUMN billingo.number_gaps.block_id IS 'Billingo''s id of the document block (number range)';
COMMENT ON COLUMN billingo.number_gaps.first_number IS 'First of the numbers that no document bears';
COMMENT ON COLUMN billingo.number_gaps.last_number IS 'Last of them';

ALTER TABLE billingo.sync_state
    ADD COLUMN mode TEXT DEFAULT 'full' NOT NULL,
    ADD COLUMN full_synced_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ADD COLUMN unlisted INTEGER DEFAULT 0 NOT NULL,
    ADD CONSTRAINT sync_state_mode_check CHECK (mode IN ('full', 'incremental'));
UPDATE billingo.sync_state SET full_synced_at = synced_at;
COMMENT ON COLUMN billingo.sync_state.mode
    IS 'full: every document was listed; incremental: what is new or changed was';
COMMENT ON COLUMN billingo.sync_state.full_synced_at IS 'When the last full sync ended';
COMMENT ON COLUMN billingo.sync_state.unlisted
    IS 'Documents that no listing shows and that were found by their number';

ALTER TABLE billingo.invoices
    ADD COLUMN unreconciled_by NUMERIC,
    DROP CONSTRAINT invoices_pkey,
    ADD CONSTRAINT invoices_pkey PRIMARY KEY (company_id, id) INCLUDE (content_hash, normalizer_version, deleted_at);
CREATE INDEX invoices_unreconciled_idx ON billingo.invoices (company_id) WHERE unreconciled_by IS NOT NULL;
COMMENT ON COLUMN billingo.invoices.unreconciled_by
    IS 'Difference between its totals that rounding does not explain; NULL when there is none';
"""


def upgrade() -> None:
    """Add what a sync needs to resume, to compare cheaply and to keep history."""
    op.execute(CHANGES)
