import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import pairwise

import httpx
import msgspec
import pytest

from billingo_assets.sandbox import Company, Quirks, RefusedMutationError, SandboxServer, World
from billingo_assets.sandbox.company import Payment
from billingo_assets_tests.sandbox.conftest import COMPANIES, NOW, Clock, every_document, first, modified


def numbers(company: Company) -> list[str]:
    return [document["invoice_number"] for document in company.documents() if document.get("invoice_number")]


@pytest.mark.parametrize("as_new", [False, True])
def test_an_issued_draft_is_an_invoice_of_today_with_the_next_number_and_the_same_lines(
    client: httpx.Client, alma: Company, clock: Clock, as_new: bool
) -> None:
    newest = max(number for number in numbers(alma) if re.fullmatch(r"2026-\d{6}", number))
    draft = alma.create(type="draft")
    clock.now += 86400
    issued = alma.issue(draft["id"], as_new=as_new)
    assert issued == alma.document(issued["id"])
    assert client.get(f"/documents/{issued['id']}").status_code == 200
    assert (issued["type"], issued["block_id"], issued["payment_status"]) == ("invoice", 4100, "outstanding")
    assert (issued["invoice_date"], issued["online_szamla_status"]) == ("2026-07-03", "done")
    assert (issued["settings"]["selected_type"], issued["correction_type"]) == ("invoice", "invoice")
    assert issued["invoice_number"] == f"2026-{int(newest[5:]) + 1:06}"
    for key in ("items", "gross_total", "summary", "currency"):
        assert issued[key] == draft[key]


def test_the_number_of_an_issued_draft_is_given_once(alma: Company) -> None:
    alma.issue(first(alma, "draft"))
    for _ in range(5):
        alma.create()
    assert len(numbers(alma)) == len(set(numbers(alma)))


def test_a_draft_issued_in_place_keeps_its_id_and_its_place_and_is_a_modification(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    server.faults.quirks = Quirks(last_modified_omits_new=True)
    ids = [document["id"] for document in alma.documents()]
    id_ = first(alma, "draft")
    assert alma.issue(id_)["id"] == id_
    assert [document["id"] for document in every_document(client)] == ids
    assert modified(client) == [id_]


def test_a_draft_issued_as_new_is_gone_and_the_invoice_is_the_newest(client: httpx.Client, alma: Company) -> None:
    id_ = first(alma, "draft")
    known = {document["id"] for document in alma.documents()}
    issued = alma.issue(id_, as_new=True)
    assert issued["id"] not in known
    assert client.get(f"/documents/{id_}").status_code == 404
    listed = [document["id"] for document in every_document(client)]
    assert (listed[0], len(listed), id_ in listed) == (issued["id"], 160, False)


def test_nobody_can_look_between_a_deleted_draft_and_its_invoice() -> None:
    looks: list[bool] = []

    def look() -> bool:
        taken = world.lock.acquire(blocking=False)
        if taken:
            world.lock.release()
        return taken

    def clock() -> float:
        looks.append(elsewhere.submit(look).result())
        return NOW

    world = World(companies=COMPANIES, clock=clock)
    with ThreadPoolExecutor(1) as elsewhere:
        assert look()
        alma = world.company("alma")
        alma.issue(first(alma, "draft"), as_new=True)
    assert looks
    assert not any(looks)


def test_a_draft_of_a_block_without_invoices_is_issued_in_one_with(alma: Company) -> None:
    draft = alma.create(type="draft", block_id=4102)
    assert alma.issue(draft["id"])["block_id"] == 4100
    kept = alma.create(type="draft", block_id=4101)
    assert alma.issue(kept["id"])["invoice_number"].startswith("WEB-2026-")


def test_issuing_a_broken_draft_leaves_it_uncounted(alma: Company) -> None:
    alma.add_raw({"id": 5, "type": "draft", "items": 3})
    alma.issue(5)
    alma.add_raw({"id": 6, "type": "draft", "items": 3})
    alma.issue(6, as_new=True)
    assert alma.ledger().uncounted == 2


@pytest.mark.parametrize("type_", ["invoice", "draft_offer", "proforma"])
def test_only_a_draft_can_be_issued(alma: Company, type_: str) -> None:
    before = alma.documents()
    for as_new in (False, True):
        with pytest.raises(RefusedMutationError, match="only a draft can be issued"):
            alma.issue(first(alma, type_), as_new=as_new)
    assert alma.documents() == before


def test_a_payment_can_be_taken_back(client: httpx.Client, alma: Company) -> None:
    id_ = first(alma, "invoice", payment_status="paid")
    alma.set_payment(id_, "outstanding")
    assert client.get(f"/documents/{id_}").json()["payment_status"] == "outstanding"
    assert alma.document(id_)["paid_date"] is None
    assert modified(client) == [id_]


def test_a_payment_is_dated_today_or_as_told(alma: Company) -> None:
    id_ = first(alma, "invoice", payment_status="expired")
    assert alma.set_payment(id_, "paid")["paid_date"] == "2026-07-02"
    assert alma.set_payment(id_, "paid", date(2026, 6, 30))["paid_date"] == "2026-06-30"
    assert alma.set_payment(id_, "partially_paid", on=date(2026, 7, 1))["paid_date"] == "2026-07-01"


def test_what_is_outstanding_has_no_day_of_payment(alma: Company) -> None:
    id_ = first(alma, "invoice", payment_status="paid")
    with pytest.raises(RefusedMutationError, match="leave the day out"):
        alma.set_payment(id_, "outstanding", on=date(2026, 7, 1))
    assert alma.document(id_)["payment_status"] == "paid"


@pytest.mark.parametrize("status", ["paid", "partially_paid", "outstanding"])
def test_no_payment_is_an_edit(client: httpx.Client, server: SandboxServer, alma: Company, status: Payment) -> None:
    server.faults.quirks = Quirks(last_modified_ignores_payments=True)
    alma.set_payment(first(alma, "invoice"), status)
    assert modified(client) == []


def test_a_modification_follows_its_original_and_leaves_it_as_it_is(client: httpx.Client, alma: Company) -> None:
    id_ = first(alma, "invoice", cancelled=False)
    before = alma.record(id_).body
    made = alma.modify(id_)
    number = alma.document(id_)["invoice_number"]
    assert (made["type"], made["invoice_date"]) == ("modification", "2026-07-02")
    assert made["related_documents"] == [{"id": id_, "invoice_number": number}]
    assert every_document(client)[0]["id"] == made["id"]
    assert alma.record(id_).body == before
    assert modified(client) == [made["id"]]


def test_modifications_can_be_modified_and_cancelled(alma: Company) -> None:
    chain = [alma.create()]
    chain.append(alma.modify(chain[-1]["id"]))
    chain.append(alma.modify(chain[-1]["id"]))
    chain.append(alma.cancel(chain[-1]["id"]))
    assert [one["type"] for one in chain] == ["invoice", "modification", "modification", "cancellation"]
    for earlier, later in pairwise(chain):
        assert [related["id"] for related in later["related_documents"]] == [earlier["id"]]
    assert alma.document(chain[2]["id"])["cancelled"] is True
    with pytest.raises(RefusedMutationError, match="cancelled already"):
        alma.modify(chain[2]["id"])


@pytest.mark.parametrize("type_", ["receipt", "draft", "cancellation", "proforma"])
def test_what_is_not_invoiced_cannot_be_modified(alma: Company, type_: str) -> None:
    with pytest.raises(RefusedMutationError, match="no modification can follow it"):
        alma.modify(first(alma, type_))


def test_the_payloads_are_what_the_listing_serves_of_every_sound_document(client: httpx.Client, alma: Company) -> None:
    draft = first(alma, "draft")
    alma.delete(draft)
    alma.add_raw({"id": 5, "type": "invoice"})
    alma.add_raw({"id": 6, "type": "invoice"}, counted=True)
    alma.add_raw(b"[]", counted=True)
    payloads = alma.payloads(on="2026-07-02")
    listed = every_document(client)
    assert len(payloads) == len(listed) - 2 == 160
    assert payloads.keys() == {one["id"] for one in listed if isinstance(one, dict)} - {5}
    text = b"".join(client.get(f"/documents?per_page=100&page={page}").content for page in (1, 2))
    assert all(body in text for body in payloads.values())
    assert all(msgspec.json.decode(body)["id"] == id_ for id_, body in payloads.items())
