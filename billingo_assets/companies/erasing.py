"""Deletes all that is held of a company, and leaves a proof of it in the audit log.

Nothing else in this program deletes documents: companies keep their accounting records for eight years.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from billingo_assets.companies.registry import Company, delete_company
from billingo_assets.streams import STREAMS
from billingo_assets.warehouse import audit

# It proves that records which are still in an export are the same ones.
_FINGERPRINT = """
    SELECT count(*),
           encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' ORDER BY {key}), ''), 'UTF8')), 'hex')
    FROM (
        SELECT {key}, {key} || ' ' || encode(content_hash, 'hex') AS line
        FROM billingo.{raw} WHERE company_id = :company
    ) AS records
"""


def erase_company(connection: Connection, company: Company) -> dict[str, Any]:
    """Delete a company's rows from every table but the audit log, and record it. Returns what was recorded.

    Of each stream there are the number of records, as in `documents`, and a fingerprint, as in `documents_sha256`: of
    a line for each record, ordered by id: its id, a space, the SHA-256 of its content in hexadecimal; lines are
    separated by newlines. Belongs in a transaction, under the company's lock.
    """
    details: dict[str, Any] = {}
    for stream in STREAMS:
        query = text(_FINGERPRINT.format(raw=stream.raw, key=stream.raw_key))
        records, fingerprint = connection.execute(query, {"company": company.id}).one()
        details |= {stream.name: records, f"{stream.name}_sha256": fingerprint}
    rows = delete_company(connection, company)
    details["rows"] = {table: number for table, number in rows.items() if number}
    audit.record(connection, "company erased", company, details=details)
    return details
