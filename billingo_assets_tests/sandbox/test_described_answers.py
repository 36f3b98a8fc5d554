"""What the sandbox answers has the fields, types and values that Billingo's API is known to have."""

import json
from typing import Any

import pytest

from billingo_assets.sandbox import World
from tools.check_sandbox import FIELDS, HABITS, Checker, check

NEVER_SENT = {"billing", "label", "giro", "payment_request", "nav_message"}
"""Tables of what a document's deprecated `partner`, a request for payment and the tax office could hold."""


def test_every_answer_is_as_described_whatever_the_habits_and_every_field_of_a_document_occurs() -> None:
    checker, faults = check(HABITS, 2_000)
    assert faults == set()
    assert checker.answers > 20
    known = {f"{table}.{name}" for table, fields in FIELDS.items() for name in fields if table not in NEVER_SENT}
    only_of_partners = {f"partner.{name}" for name in FIELDS["partner"].keys() - FIELDS["document_partner"].keys()}
    assert known - checker.seen == only_of_partners


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"total": 5}, "document.total is not described"),
        ({"type": "számla"}, "document.type is 'számla', no type"),
        ({"id": "7"}, "document.id is '7', not int"),
        ({"id": True}, "document.id is True, not int"),
        ({"gross_total": "7"}, "document.gross_total is '7', not num"),
        ({"invoice_date": "2026.01.31."}, "document.invoice_date is '2026.01.31.', no date"),
        ({"invoice_date": None}, "document.invoice_date is None, no date"),
        ({"cancelled": 0}, "document.cancelled is 0, not bool"),
        ({"tags": "new"}, "document.tags is 'new', not a list"),
        ({"settings": []}, "document.settings is [], not an object"),
        ({"items": [{"vat": "EUFAD37"}]}, "document.items.vat is 'EUFAD37', no vat"),
        ({"items": [{"entitlement": "TAM_85"}]}, "document.items.entitlement is 'TAM_85', no entitlement"),
        ({"online_szamla_status": "finished"}, "document.online_szamla_status is 'finished', no nav_status"),
        ({"notification_status": "open"}, "document.notification_status is 'open', no notification"),
    ],
    ids=str,
)
def test_what_is_not_as_described_is_noticed(change: dict[str, Any], fault: str) -> None:
    document = json.loads(World().company("ozon-bt").records[0].body)
    assert Checker().faults(json.dumps(document).encode(), "document") == []
    assert Checker().faults(json.dumps(document | change).encode(), "document") == [fault]
