"""Deletes all that is held of a company, and leaves a proof of it in the audit log.

Nothing else in this program deletes documents: companies keep their accounting records for eight years.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from billingo_assets.companies.registry import Company, delete_company
from billingo_assets.warehouse import audit

# It proves that documents which are still in an export are the same ones.
_FINGERPRINT = text(
    """
    SELECT count(*),
           encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' ORDER BY document_id), ''), 'UTF8')), 'hex')
    FROM (
        SELECT document_id, document_id || ' ' || encode(content_hash, 'hex') AS line
        FROM billingo.raw_invoices WHERE company_id = :company
    ) AS documents
    """
)


def erase_company(connection: Connection, company: Company) -> dict[str, Any]:
    """Delete a company's rows from every table but the audit log, and record it. Returns what was recorded.

    `documents_sha256` is of a line for each document, ordered by id: its id, a space, the SHA-256 of its content in
    hexadecimal; lines are separated by newlines. Belongs in a transaction, under the company's lock.
    """
    documents, fingerprint = connection.execute(_FINGERPRINT, {"company": company.id}).one()
    rows = delete_company(connection, company)
    details = {"documents": documents, "documents_sha256": fingerprint, "rows": {k: v for k, v in rows.items() if v}}
    audit.record(connection, "company erased", company, details=details)
    return details
