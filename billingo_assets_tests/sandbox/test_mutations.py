from datetime import date
from typing import Any

import httpx
import pytest

from billingo_assets.sandbox import (
    Company,
    RefusedMutationError,
    UnknownCompanyError,
    UnknownDocumentError,
    World,
)
from billingo_assets_tests.sandbox.conftest import Clock, every_document, first, modified, parts_of


def test_a_created_invoice_is_the_newest_and_takes_the_next_number(client: httpx.Client, alma: Company) -> None:
    numbers = {document.get("invoice_number") for document in alma.documents()}
    made = alma.create()
    before, year, sequence = parts_of(made["invoice_number"])
    same_series = [parts_of(number)[2] for number in numbers if number and parts_of(number)[:2] == (before, year)]
    assert sequence == max(same_series) + 1
    assert made["invoice_number"] not in numbers
    assert made["invoice_date"] == "2026-07-02"
    assert every_document(client)[0]["id"] == made["id"]


def test_a_created_draft_has_no_number(alma: Company) -> None:
    assert alma.create(type="draft").get("invoice_number") is None


def test_fields_of_a_created_document_can_be_given(client: httpx.Client, alma: Company) -> None:
    made = alma.create(comment="különleges", invoice_date="2026-01-31")
    assert client.get(f"/documents/{made['id']}").json()["comment"] == "különleges"


@pytest.mark.parametrize("type_", ["számla", "cancellation"])
def test_an_impossible_type_cannot_be_created(alma: Company, type_: str) -> None:
    with pytest.raises(RefusedMutationError, match="cannot be created"):
        alma.create(type=type_)


def test_a_change_shows_and_is_a_modification(client: httpx.Client, alma: Company) -> None:
    id_ = first(alma, "invoice")
    alma.change(id_, comment="új", mutate=lambda document: document["tags"].append("módosított"))
    shown = client.get(f"/documents/{id_}").json()
    assert (shown["comment"], shown["tags"][-1]) == ("új", "módosított")
    assert modified(client) == [id_]


def test_a_change_without_mutation_keeps_every_other_byte(alma: Company) -> None:
    id_ = first(alma, "invoice", currency="EUR")
    before = alma.record(id_).body
    alma.change(id_)
    assert alma.record(id_).body == before


def test_a_draft_can_be_deleted_and_is_gone(client: httpx.Client, alma: Company) -> None:
    id_ = first(alma, "draft")
    alma.delete(id_)
    assert client.get(f"/documents/{id_}").status_code == 404
    assert id_ not in {document["id"] for document in every_document(client)}
    assert alma.ledger().documents == 159


def test_an_issued_document_is_deleted_only_when_told_so(alma: Company) -> None:
    id_ = first(alma, "invoice")
    with pytest.raises(RefusedMutationError, match="only drafts"):
        alma.delete(id_)
    alma.delete(id_, even_if_issued=True)
    assert alma.ledger().documents == 159


@pytest.mark.parametrize(("type_", "second"), [("invoice", "cancellation"), ("receipt", "receipt_cancellation")])
def test_a_cancellation_is_a_second_document(client: httpx.Client, alma: Company, type_: str, second: str) -> None:
    id_ = first(alma, type_, cancelled=False)
    cancellation = alma.cancel(id_)
    original = client.get(f"/documents/{id_}").json()
    assert original["cancelled"] is True
    assert cancellation["type"] == second
    assert cancellation["related_documents"] == [{"id": id_, "invoice_number": original["invoice_number"]}]
    assert set(modified(client)) == {id_, cancellation["id"]}


def test_what_is_cancelled_or_a_draft_cannot_be_cancelled(alma: Company) -> None:
    for id_ in (first(alma, "invoice", cancelled=True), first(alma, "draft")):
        with pytest.raises(RefusedMutationError):
            alma.cancel(id_)


def test_a_payment_shows_and_is_a_modification(client: httpx.Client, alma: Company) -> None:
    id_ = first(alma, "invoice", payment_status="expired")
    alma.pay(id_, on=date(2026, 7, 1))
    shown = client.get(f"/documents/{id_}").json()
    assert (shown["payment_status"], shown["paid_date"]) == ("paid", "2026-07-01")
    assert modified(client) == [id_]


def test_modification_times_follow_the_clock(client: httpx.Client, alma: Company, clock: Clock) -> None:
    early, late = first(alma, "invoice"), first(alma, "receipt")
    alma.change(early, comment="1")
    clock.now += 10
    alma.change(late, comment="2")
    assert set(modified(client)) == {early, late}
    assert modified(client, "2026-07-02 15:46:50") == [late]
    assert modified(client, "2026-07-02 15:46:51") == []


def test_old_documents_count_as_modified_when_created_cancelled_or_paid(client: httpx.Client, alma: Company) -> None:
    expected = [
        record.facts.id
        for record in reversed(alma.records)
        if max(record.created_at, record.edited_at or 0, record.payment_changed_at or 0) >= 1_767_222_000  # 2026
    ]
    assert 0 < len(expected) < 160
    assert modified(client, "2026-01-01 00:00:00") == expected


def test_the_ledger_follows_every_mutation(alma: Company) -> None:
    before = alma.ledger()
    invoice = alma.create(currency="HUF")
    alma.cancel(invoice["id"])
    after = alma.ledger()
    assert after.documents == before.documents + 2
    assert after.items == before.items + 2 * len(invoice["items"])
    assert after.currencies["HUF"].gross == before.currencies["HUF"].gross
    alma.change(invoice["id"], gross_total=invoice["gross_total"] + 7)
    assert alma.ledger().currencies["HUF"].gross == before.currencies["HUF"].gross + 7


@pytest.mark.parametrize(
    "poison",
    [
        {"id": "hét", "items": 3, "summary": [], "gross_total": "sok", "document_partner": "én"},
        {"type": "invoice"},
        {"id": 5, "comment": "NUL \x00 NUL", "conversion_rate": None},
        b"[1, 2]",
        b'"text"',
        b"null",
    ],
)
def test_a_broken_document_is_served_as_it_is_and_not_counted(
    client: httpx.Client, alma: Company, poison: dict[str, Any] | bytes
) -> None:
    before = alma.ledger()
    alma.add_raw(poison)
    after = alma.ledger()
    assert (after.documents, after.uncounted) == (161, 1)
    assert (after.items, after.by_type, after.currencies) == (before.items, before.by_type, before.currencies)
    assert every_document(client)[0] == alma.documents()[0]
    assert len(every_document(client, query="a")) > 0


def test_a_page_joins_the_texts_as_they_are_stored(client: httpx.Client, alma: Company) -> None:
    texts = [b'{"id" : 5 , "gross_total" : 1.50}', b'{"id":6,"gross_total":1e2}']
    for text in texts:
        alma.add_raw(text)
    assert client.get("/documents?per_page=2").content.startswith(b'{"data":[' + b",".join(reversed(texts)) + b"]")


def test_text_that_is_not_json_breaks_its_page_only(client: httpx.Client, alma: Company) -> None:
    alma.add_raw(b'{"id": 7, "name": "\xff')
    with pytest.raises(ValueError, match="decode"):
        client.get("/documents").json()
    assert len(client.get("/documents?page=2").json()["data"]) == 25


def test_a_raw_document_can_be_counted(alma: Company) -> None:
    before = alma.ledger().by_type["invoice"]
    alma.add_raw({"id": 5, "type": "invoice", "currency": "HUF", "gross_total": 5}, counted=True)
    assert alma.ledger().by_type["invoice"] == before + 1


def test_what_is_not_there_is_named(world: World, alma: Company) -> None:
    with pytest.raises(UnknownCompanyError, match="alma, korte"):
        world.company("szilva")
    with pytest.raises(UnknownDocumentError, match="no document 1"):
        alma.pay(1)


def test_a_reset_forgets_the_mutations(world: World, alma: Company) -> None:
    generated = alma.documents()
    alma.create()
    world.reset()
    assert world.company("alma").documents() == generated


def test_a_document_whose_amounts_are_whole_can_be_modified_and_cancelled_in_any_currency(alma: Company) -> None:
    made = alma.create(currency="USD", conversion_rate=380)
    whole = dict.fromkeys(("quantity", "net_amount", "vat_amount", "gross_amount"), 100)
    alma.change(made["id"], gross_total=100, mutate=lambda document: document["items"][0].update(whole))
    modification = alma.modify(made["id"])
    assert modification["items"][0]["gross_amount"] == -100
    assert modification["summary"]["net_amount_local"] == round(modification["summary"]["net_amount"] * 380)
    assert alma.cancel(made["id"])["gross_total"] == -100
