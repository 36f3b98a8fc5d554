"""Versions that were kept of documents in which only the clock had moved are dropped.

Billingo dates a document that is not paid to the day on which it is read. Each reading on another day was taken for a
change, and its former content kept as a version. Of such versions that follow each other without a break, the last one
is left and holds from the first one on; what remains is numbered from 1 without holes.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

# Row-level security, which is forced, would decide which rows the owner sees.
BEGIN = """
ALTER TABLE billingo.raw_invoices NO FORCE ROW LEVEL SECURITY;
ALTER TABLE billingo.raw_invoice_versions NO FORCE ROW LEVEL SECURITY;
"""

# What a document says, whenever it is read.
CONTENT = """
CREATE FUNCTION pg_temp.content(payload jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN payload ->> 'payment_status' IN ('paid', 'partially_paid')
                THEN payload ELSE payload - 'paid_date' END
$$;
"""

FIND = """
CREATE TEMP TABLE repeated ON COMMIT DROP AS
SELECT company_id, document_id, version, valid_from,
       version - row_number() OVER (PARTITION BY company_id, document_id ORDER BY version) AS run
FROM (
    SELECT former.company_id, former.document_id, former.version, former.valid_from
    FROM billingo.raw_invoice_versions AS former JOIN (
        SELECT company_id, document_id, version, valid_from, payload FROM billingo.raw_invoice_versions
        UNION ALL
        SELECT company_id, document_id, version, changed_at, payload FROM billingo.raw_invoices WHERE version > 1
    ) AS later
        ON later.company_id = former.company_id AND later.document_id = former.document_id
        AND later.version = former.version + 1 AND later.valid_from = former.valid_to
    WHERE pg_temp.content(former.payload) = pg_temp.content(later.payload)
) AS found;
CREATE INDEX ON pg_temp.repeated (company_id, document_id);
ANALYZE pg_temp.repeated;
DROP FUNCTION pg_temp.content(jsonb);
"""

# A version that comes after a run of repeated ones holds since the first of them.
PROLONG = """
CREATE TEMP TABLE prolonged ON COMMIT DROP AS
SELECT company_id, document_id, max(version) + 1 AS version, min(valid_from) AS valid_from
FROM pg_temp.repeated GROUP BY company_id, document_id, run;

UPDATE billingo.raw_invoice_versions AS kept SET valid_from = prolonged.valid_from FROM pg_temp.prolonged
WHERE kept.company_id = prolonged.company_id AND kept.document_id = prolonged.document_id
  AND kept.version = prolonged.version;
UPDATE billingo.raw_invoices AS kept SET changed_at = prolonged.valid_from FROM pg_temp.prolonged
WHERE kept.company_id = prolonged.company_id AND kept.document_id = prolonged.document_id
  AND kept.version = prolonged.version;

DELETE FROM billingo.raw_invoice_versions AS former USING pg_temp.repeated
WHERE former.company_id = repeated.company_id AND former.document_id = repeated.document_id
  AND former.version = repeated.version;
"""

# By way of negative numbers, so that no two are the same on the way.
RENUMBER = """
UPDATE billingo.raw_invoice_versions AS kept SET version = -numbered.place FROM (
    SELECT company_id, document_id, version,
           row_number() OVER (PARTITION BY company_id, document_id ORDER BY version) AS place
    FROM billingo.raw_invoice_versions
    WHERE (company_id, document_id) IN (SELECT company_id, document_id FROM pg_temp.repeated)
) AS numbered
WHERE kept.company_id = numbered.company_id AND kept.document_id = numbered.document_id
  AND kept.version = numbered.version AND numbered.version <> numbered.place;
UPDATE billingo.raw_invoice_versions SET version = -version WHERE version < 0;
UPDATE billingo.raw_invoices AS kept SET version = kept.version - dropped.number FROM (
    SELECT company_id, document_id, count(*) AS number FROM pg_temp.repeated GROUP BY company_id, document_id
) AS dropped
WHERE kept.company_id = dropped.company_id AND kept.document_id = dropped.document_id;
"""

END = """
ALTER TABLE billingo.raw_invoices FORCE ROW LEVEL SECURITY;
ALTER TABLE billingo.raw_invoice_versions FORCE ROW LEVEL SECURITY;
"""

COMMENTS = """
COMMENT ON COLUMN billingo.raw_invoices.content_hash IS 'SHA-256 of the content of the document as sent';
COMMENT ON COLUMN billingo.raw_invoice_versions.content_hash IS 'SHA-256 of the content of the document as sent';
COMMENT ON COLUMN billingo.rejected_documents.content_hash IS 'SHA-256 of the content of the document as sent';
COMMENT ON COLUMN billingo.invoices.paid_date IS 'Date of payment; NULL until payment_status says that there was one';
"""


def upgrade() -> None:
    """Drop them."""
    for step in (BEGIN, CONTENT, FIND, PROLONG, RENUMBER, END, COMMENTS):
        op.execute(step)
