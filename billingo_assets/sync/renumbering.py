"""Reads the numbers of stored documents again, once, after the rules for reading them have changed."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from billingo_assets.normalize.numbering import numbering_of
from billingo_assets.sync.records import read_remains
from billingo_assets.warehouse.number_series import update_gaps
from billingo_assets.warehouse.stored_numbers import (
    are_numbers_current,
    change_quarantined,
    change_stored,
    move_gaps,
    quarantined_payloads,
    stored_number_fields,
)

_decode = msgspec.json.decode


def renumber(connection: Connection, company_id: int) -> None:
    """Read stored numbers by the current rules, and update the gaps. Costs nothing if they are current."""
    if are_numbers_current(connection, company_id):
        return
    for batch in stored_number_fields(connection, company_id):
        change_stored(connection, company_id, [(id_, numbering_of(_decode(fields))) for id_, fields in batch])
    quarantined = quarantined_payloads(connection, company_id)
    remains = [(key, numbering_of(read_remains(payload.encode()))) for key, payload in quarantined]
    change_quarantined(connection, company_id, remains)
    move_gaps(connection, company_id)
    update_gaps(connection, company_id)
