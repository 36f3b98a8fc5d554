"""Deletes all data of a company, and leaves a proof in the audit log.

Nothing else in this program deletes documents: companies must keep accounting records for eight years.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from billingo_assets.companies.registry import Company, delete_company
from billingo_assets.streams import STREAMS
from billingo_assets.warehouse import audit

# Proves that records in an export are the erased ones.
_FINGERPRINT = """
    SELECT count(*),
           encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' ORDER BY {key}), ''), 'UTF8')), 'hex')
    FROM (
        SELECT {key}, {key} || ' ' || encode(content_hash, 'hex') AS line
        FROM billingo.{raw} WHERE company_id = :company
    ) AS records
"""


def erase_company(connection: Connection, company: Company) -> dict[str, Any]:
    """Delete a company's rows from every table but the audit log, and record it. Returns the recorded details.

    For each stream these are the number of records, such as `documents`, and a fingerprint, such as
    `documents_sha256`. It covers a line for each record, ordered by id: the id, a space, the SHA-256 of the content in
    hexadecimal; newlines separate the lines. Belongs in a transaction, under the company's lock.
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
