"""Numbers of every form: the series that a number belongs to, of documents in quarantine too."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"

# Which series a stored number belongs to, the next sync of its company finds out: number_rules is 0 until then. So
# that the gaps that are known can be found again, they bear their year in place of their series.
CHANGES = """
ALTER TABLE billingo.raw_invoices
    ADD COLUMN number_series TEXT,
    ADD COLUMN number_judged BOOLEAN,
    ADD COLUMN gapless BOOLEAN DEFAULT true NOT NULL;
CREATE INDEX raw_invoices_unjudged_idx ON billingo.raw_invoices (company_id) WHERE NOT number_judged;

ALTER TABLE billingo.rejected_documents
    ADD COLUMN block_id BIGINT,
    ADD COLUMN number_series TEXT,
    ADD COLUMN number_year INTEGER,
    ADD COLUMN number BIGINT,
    ADD COLUMN number_judged BOOLEAN,
    ADD COLUMN gapless BOOLEAN DEFAULT true NOT NULL;

ALTER TABLE billingo.number_gaps
    ADD COLUMN series TEXT,
    ADD COLUMN last_year INTEGER,
    ADD COLUMN gapless BOOLEAN DEFAULT true NOT NULL,
    ADD COLUMN accepted_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE billingo.number_gaps
    ALTER COLUMN series TYPE TEXT USING year::text,
    ALTER COLUMN last_year TYPE INTEGER USING year;
ALTER TABLE billingo.number_gaps
    ALTER COLUMN last_year SET NOT NULL,
    DROP CONSTRAINT number_gaps_pkey,
    ADD CONSTRAINT number_gaps_pkey PRIMARY KEY (company_id, block_id, series, year, first_number);

ALTER TABLE billingo.sync_state ADD COLUMN number_rules INTEGER DEFAULT 0 NOT NULL;

COMMENT ON COLUMN billingo.number_gaps.year IS 'Year of the document before them';
COMMENT ON COLUMN billingo.number_gaps.series IS 'Prefix and year that the numbers around them have in common';
COMMENT ON COLUMN billingo.number_gaps.last_year IS 'Year of the document after them';
COMMENT ON COLUMN billingo.number_gaps.gapless
    IS 'Whether the series holds documents whose numbers have to run without gaps';
COMMENT ON COLUMN billingo.number_gaps.accepted_at IS 'When somebody accepted that they are missing';
COMMENT ON COLUMN billingo.sync_state.number_rules IS 'The rules by which the numbers of its documents were read';
"""

NUMBERING = """
COMMENT ON COLUMN billingo.{table}.block_id IS 'Billingo''s id of the document block (number range)';
COMMENT ON COLUMN billingo.{table}.number_series IS 'Prefix and year of invoice_number, in one spelling';
COMMENT ON COLUMN billingo.{table}.number_year IS 'The year in invoice_number, else that of invoice_date';
COMMENT ON COLUMN billingo.{table}.number IS 'The running number in invoice_number';
COMMENT ON COLUMN billingo.{table}.number_judged
    IS 'Whether invoice_number can be read in one way only; NULL where there is none';
COMMENT ON COLUMN billingo.{table}.gapless IS 'Whether the numbers of its type have to run without gaps';
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(CHANGES)
    for table in ("raw_invoices", "rejected_documents"):
        op.execute(NUMBERING.format(table=table))
