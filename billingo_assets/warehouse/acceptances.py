"""Writes `accepted_faults`: documents that a check no longer warns about, because a person accepted them.

A content is accepted: the check warns about the document again when Billingo sends another content. Until then it is
shown as accepted wherever it is listed.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

REJECTED = "no_rejected_documents"
UNRECONCILED = "totals_reconcile"

_ACCEPT = """
    INSERT INTO billingo.accepted_faults (company_id, check_name, content_hash, document_id, accepted_by)
    SELECT company_id, '{check}', content_hash, {id}, :actor FROM billingo.{table} WHERE company_id = :company {which}
    ON CONFLICT DO NOTHING RETURNING document_id
"""

_ACCEPT_REJECTED = text(_ACCEPT.format(check=REJECTED, id="document_id", table="rejected_documents", which=""))
_ACCEPT_UNRECONCILED = text(
    _ACCEPT.format(
        check=UNRECONCILED,
        id="id",
        table="invoices",
        which="AND deleted_at IS NULL AND unreconciled_by IS NOT NULL",
    )
)


def accept_rejected(connection: Connection, company_id: int, *, actor: str) -> list[int | None]:
    """Accept every document that is in quarantine now. Returns the ids of the newly accepted ones."""
    return list(connection.scalars(_ACCEPT_REJECTED, {"company": company_id, "actor": actor}))


def accept_unreconciled(connection: Connection, company_id: int, *, actor: str) -> list[int | None]:
    """Accept every invoice with totals that do not reconcile now. Returns the ids of the newly accepted ones."""
    return list(connection.scalars(_ACCEPT_UNRECONCILED, {"company": company_id, "actor": actor}))
