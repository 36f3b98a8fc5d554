import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billingo_assets.sandbox import CompanySpec, World
from billingo_assets.sandbox import vocabulary as words


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return World(seed=3, companies=[CompanySpec("nagy", "Nagy Kft.", 3000)]).company("nagy").documents()


def bodies(**arguments: Any) -> list[bytes]:
    return [record.body for company in World(**arguments).companies for record in company.records]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert bodies(seed=5) == bodies(seed=5)


def test_another_seed_gives_other_bytes_and_other_keys() -> None:
    assert bodies(seed=5) != bodies(seed=6)
    assert World(seed=5).company("ozon-bt").api_key != World(seed=6).company("ozon-bt").api_key


def test_the_default_world_has_three_companies_of_different_sizes() -> None:
    assert {key: ledger.documents for key, ledger in World().ledger().items()} == {
        "it-cardigan": 282,
        "arvizturo": 147,
        "ozon-bt": 61,
    }


def test_every_document_type_occurs_in_every_default_company() -> None:
    for ledger in World().ledger().values():
        assert set(ledger.by_type) == words.DOCUMENT_TYPES


def test_a_company_of_one_document_and_of_none_can_be_made() -> None:
    world = World(companies=[CompanySpec("egy", "Egy Kft.", 1), CompanySpec("nulla", "Nulla Kft.", 0)])
    assert [ledger.documents for ledger in world.ledger().values()] == [1, 0]


def test_api_keys_look_like_uuids_and_tax_codes_have_a_valid_check_digit() -> None:
    for company in World().companies:
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", company.api_key)
        assert re.fullmatch(r"\d{8}-\d-\d\d", company.tax_code)
        weighted = zip(company.tax_code, (9, 7, 3, 1, 9, 7, 3, 1), strict=False)
        assert sum(int(digit) * weight for digit, weight in weighted) % 10 == 0


def test_two_companies_share_document_ids() -> None:
    first, second, _ = World().companies
    assert {one["id"] for one in first.documents()} & {one["id"] for one in second.documents()}


def test_numbers_have_no_holes_within_block_and_year(documents: list[dict[str, Any]]) -> None:
    sequences: dict[tuple[int, str], list[int]] = defaultdict(list)
    for document in reversed(documents):
        number = document.get("invoice_number")
        assert (number is None) == (document["type"] in words.DRAFTS)
        if number:
            year, sequence = number.split("-")[-2:]
            assert document["invoice_date"].startswith(year)
            sequences[document["block_id"], year].append(int(sequence))
    assert len(sequences) > 3 * 5
    for sequence in sequences.values():
        assert sequence == list(range(1, len(sequence) + 1))


def test_ids_grow_with_creation(documents: list[dict[str, Any]]) -> None:
    ids = [document["id"] for document in documents]
    assert ids == sorted(set(ids), reverse=True)


def test_a_cancellation_mirrors_an_original_that_is_marked_as_cancelled(
    documents: list[dict[str, Any]],
) -> None:
    by_id = {document["id"]: document for document in documents}
    cancellations = [one for one in documents if one["type"] in ("cancellation", "receipt_cancellation")]
    assert len(cancellations) > 20
    for cancellation in cancellations:
        [related] = cancellation["related_documents"]
        original = by_id[related["id"]]
        assert original["cancelled"] is True
        assert original["invoice_number"] == related["invoice_number"]
        assert cancellation["gross_total"] == -original["gross_total"]
        assert cancellation["summary"]["net_amount"] == -original["summary"]["net_amount"]
    assert sum(one["cancelled"] for one in documents) == len(cancellations)


def test_modifications_form_chains_and_invoices_follow_advances(documents: list[dict[str, Any]]) -> None:
    by_id = {document["id"]: document for document in documents}
    links = {
        (document["type"], by_id[related["id"]]["type"])
        for document in documents
        for related in document["related_documents"]
    }
    assert {("modification", "invoice"), ("modification", "modification"), ("invoice", "advance")} <= links


def test_amounts_are_exact_decimals_and_nearly_add_up(documents: list[dict[str, Any]]) -> None:
    missed = 0
    for document in documents:
        unit = Decimal(1) if document["currency"] == "HUF" else Decimal("0.01")
        summary = document["summary"]
        gaps = [document["gross_total"] - summary["net_amount"] - summary["vat_amount"]]
        gaps += [item["gross_amount"] - item["net_amount"] - item["vat_amount"] for item in document["items"]]
        assert all(abs(gap) <= unit for gap in gaps)
        assert summary["net_amount"] == sum(item["net_amount"] for item in document["items"])
        missed += any(gaps)
    assert missed > 100


def test_no_binary_float_is_on_the_way(documents: list[dict[str, Any]]) -> None:
    def walk(value: Any) -> None:
        assert not isinstance(value, float)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    for document in documents:
        walk(document)


def test_the_variety_of_the_real_thing_is_there(documents: list[dict[str, Any]]) -> None:
    items = [item for document in documents for item in document["items"]]
    assert {"27%", "18%", "5%", "0%", "5,5%", "AAM", "TAM", "EUFAD37", "FAD", "K.AFA", "ÁKK", "EU", "HO"} <= {
        item["vat"] for item in items
    }
    assert {document["currency"] for document in documents} == {"HUF", "EUR", "USD"}
    assert {document["payment_status"] for document in documents} == {
        *("expired", "none", "outstanding", "paid", "partially_paid")
    }
    assert len({document["payment_method"] for document in documents}) > 8
    assert any(item["quantity"] % 1 for item in items)
    assert any("ű" in item["name"] for item in items)
    for key in ("paid_date", "comment", "due_date"):
        assert {document.get(key, "absent") for document in documents} >= {None, "", "absent"}
    carried = {("document_partner" in document, "partner" in document) for document in documents}
    assert carried == {(True, True), (True, False), (False, True)}
    assert any("vendor_id" in document for document in documents)


def test_a_conversion_rate_of_one_is_written_in_two_ways() -> None:
    text = b"".join(bodies())
    assert b'"conversion_rate":1,' in text
    assert b'"conversion_rate":1.0,' in text


def test_stored_text_is_plain_json_numbers() -> None:
    for body in bodies():
        assert isinstance(msgspec.json.decode(body)["gross_total"], int | float)
