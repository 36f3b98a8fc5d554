import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billingo_assets.sandbox import CompanySpec, World
from billingo_assets.sandbox import vocabulary as words
from billingo_assets_tests.sandbox.conftest import parts_of


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


def test_numbers_run_without_holes_within_block_and_year_in_the_format_of_the_block(
    documents: list[dict[str, Any]],
) -> None:
    formats = {
        **dict.fromkeys((4102, 4104, 4106, 4108, 4109), r"[A-Z]+ / \d{4}-\d{6}"),
        **dict.fromkeys((4101, 4103, 4105, 4107), r"[A-Z]+-\d{4}-[1-9]\d*"),
        4100: r"\d{4}-\d{6}",
        4110: r"\d{4}-[1-9]\d*",
    }
    sequences: dict[tuple[int, str], list[int]] = defaultdict(list)
    for document in reversed(documents):
        number = document.get("invoice_number")
        assert (number is None) == (document["type"] in words.DRAFTS)
        if number:
            assert re.fullmatch(formats[document["block_id"]], number)
            before, year, sequence = parts_of(number)
            assert document["invoice_date"].startswith(f"{year}-")
            sequences[document["block_id"], f"{before}{year}"].append(sequence)
    assert {block_id for block_id, _ in sequences} == formats.keys()
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


def test_every_default_company_has_cancelled_invoices_that_were_paid_and_that_were_not() -> None:
    for company in World().companies:
        cancelled = [one for one in company.documents() if one["cancelled"] and one["type"] == "invoice"]
        assert {"paid"} < {one["payment_status"] for one in cancelled} <= {"paid", "expired", "outstanding"}


def test_modifications_form_chains_and_invoices_follow_advances(documents: list[dict[str, Any]]) -> None:
    by_id = {document["id"]: document for document in documents}
    links = {
        (document["type"], by_id[related["id"]]["type"])
        for document in documents
        for related in document["related_documents"]
    }
    assert {("modification", "invoice"), ("modification", "modification"), ("invoice", "advance")} <= links


def test_a_final_invoice_deducts_its_advance_line_by_line_even_if_that_is_more(documents: list[dict[str, Any]]) -> None:
    by_id = {document["id"]: document for document in documents}
    finals = [one for one in documents if one["type"] == "invoice" and one["related_documents"]]
    for final in finals:
        [related] = final["related_documents"]
        advance = by_id[related["id"]]["items"]
        assert final["items"][-len(advance) :] == [
            item | {key: -item[key] for key in ("quantity", "net_amount", "vat_amount", "gross_amount")}
            for item in advance
        ]
    assert {final["gross_total"] > 0 for final in finals} == {True, False}


def test_amounts_are_exact_decimals_and_nearly_add_up(documents: list[dict[str, Any]]) -> None:
    missed = 0
    for document in documents:
        step = {"none": Decimal("0.01"), "one": 1, "five": 5, "ten": 10}[document["settings"]["round"]]
        unit = 1 if document["currency"] == "HUF" and document["settings"]["round"] != "none" else Decimal("0.01")
        summary, items = document["summary"], document["items"]
        assert document["gross_total"] % max(step, unit) == 0
        assert all(summary[key] % unit == 0 for key in ("net_amount", "vat_amount"))
        header = document["gross_total"] - summary["net_amount"] - summary["vat_amount"]
        assert abs(header) <= unit + Decimal(max(step, unit)) / 2
        for key in ("net_amount", "vat_amount"):
            assert abs(summary[key] - sum(item[key] for item in items)) <= unit
        lines = [item["gross_amount"] - item["net_amount"] - item["vat_amount"] for item in items]
        assert all(abs(gap) <= 1 for gap in lines)
        missed += any([header, *lines])
    assert missed > 100


def test_lines_keep_filler_under_a_header_of_whole_forints(documents: list[dict[str, Any]]) -> None:
    forints = [one for one in documents if one["currency"] == "HUF" and one["settings"]["round"] == "one"]
    fine = [one for one in forints if any(item["gross_amount"] % 1 for item in one["items"])]
    assert len(fine) > 100
    assert all(one["gross_total"] % 1 == one["summary"]["net_amount"] % 1 == 0 for one in fine)


def test_every_rounding_occurs_and_five_mostly_in_cash(documents: list[dict[str, Any]]) -> None:
    forints = [one for one in documents if one["currency"] == "HUF"]
    methods: dict[str, set[str]] = defaultdict(set)
    for one in forints:
        methods[one["settings"]["round"]].add(one["payment_method"])
    assert methods.keys() == {"none", "one", "five", "ten"}
    assert {"cash", "wire_transfer"} <= methods["five"]
    assert {one["settings"]["round"] for one in documents if one["currency"] != "HUF"} == {"none", "one"}


def test_a_discount_is_in_the_amounts_of_the_lines(documents: list[dict[str, Any]]) -> None:
    own = [one for one in documents if one["discount"] and not one["related_documents"]]
    assert len(own) > 50
    for document in own:
        left = 1 - Decimal(document["discount"]["value"]) / 100
        for item in document["items"]:
            assert abs(item["net_unit_amount"] * item["quantity"] * left - item["net_amount"]) <= Decimal("0.5")


def test_a_vat_rate_is_a_fraction(documents: list[dict[str, Any]]) -> None:
    rates = {row["vat_name"]: row["vat_percentage"] for one in documents for row in one["summary"]["vat_rate_summary"]}
    assert (rates["27%"], rates["5,5%"], rates["AM"]) == (Decimal("0.27"), Decimal("0.055"), 0)


def test_entitlements_stand_where_practice_puts_them(documents: list[dict[str, Any]]) -> None:
    pairs = {(item["vat"], item["entitlement"]) for one in documents for item in one["items"]}
    assert {("0%", None), ("27%", "KBAET"), ("27%", None), ("FAD", None), ("EU", "EUFAD37"), ("EUK", "HO")} <= pairs
    grounds: dict[str, set[str | None]] = defaultdict(set)
    for vat, entitlement in pairs:
        grounds[vat].add(entitlement)
    assert grounds["K.AFA"] == {"SECOND_HAND", "ARTWORK", "ANTIQUES", "TRAVEL_AGENCY"}
    assert grounds["EU"] == {"KBAET", "EUFAD37", "EUFADE"}
    assert grounds["EUK"] == {"HO", "EAM"}
    assert (grounds["TAM"], grounds["ÁKK"], grounds["ÁTHK"]) == ({"TAM"}, {"ATK"}, {"ATK"})
    assert grounds["20%"] == grounds["25,5%"] == {"EUE"}


def test_a_small_business_that_is_exempt_invoices_without_vat_at_home() -> None:
    world = World(companies=[CompanySpec("ev", "Nagy Ágnes e.v.", 200), CompanySpec("bt", "Kis Bt.", 200)])
    trader, partnership = world.companies
    for company in world.companies:
        at_home = [one for one in company.documents() if one["language"] == "hu"]
        items = [item for one in at_home for item in one["items"] if not item.get("is_deposit_fee")]
        assert {(item["vat"], item["entitlement"]) for item in items} == {("AAM", "AAM")}
    assert (trader.organization["small_taxpayer"], partnership.organization["small_taxpayer"]) == (True, False)
    assert (len(trader.organization["ev_number"]), partnership.organization["ev_number"]) == (8, "")


def test_some_companies_settle_their_vat_in_cash() -> None:
    assert {company.organization["cash_settled"] for company in World().companies} == {True, False}


def test_a_missing_account_is_two_hyphens_and_the_rest_of_it_empty(documents: list[dict[str, Any]]) -> None:
    partners = [one.get("document_partner") or one["partner"] for one in documents]
    without = [one for one in partners if one["tax_type"] == "NO_TAX_NUMBER"]
    assert {(one["account_number"], one["iban"], one["swift"]) for one in without} == {("--", "", "")}
    assert {type(one[key]) for one in partners for key in ("account_number", "iban", "swift", "phone")} == {str}
    assert any(one["iban"] for one in partners if one["tax_type"] == "HAS_TAX_NUMBER")


def test_a_document_names_itself_as_its_correction_type(documents: list[dict[str, Any]]) -> None:
    assert all(one["correction_type"] == one["type"] for one in documents)


def test_a_deposit_is_a_line_of_its_own_behind_the_bottle(documents: list[dict[str, Any]]) -> None:
    deposits = [
        (one["items"], at, item)
        for one in documents
        for at, item in enumerate(one["items"])
        if item.get("connected_item") and not one["related_documents"]
    ]
    assert len(deposits) > 20
    for items, at, deposit in deposits:
        assert deposit["connected_item"] == {"product_id": items[at - 1]["product_id"], "item_index": at - 1}
        assert (deposit["is_deposit_fee"], deposit["quantity"]) == (True, items[at - 1]["quantity"])


def test_no_binary_float_is_on_the_way(documents: list[dict[str, Any]]) -> None:
    def walk(value: Any) -> None:
        assert not isinstance(value, float)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    for document in documents:
        walk(document)


def test_the_variety_of_the_real_thing_is_there(documents: list[dict[str, Any]]) -> None:
    items = [item for document in documents for item in document["items"]]
    assert {"27%", "18%", "5%", "0%", "5,5%", "25,5%", "TAM", "FAD", "F.AFA", "K.AFA", "ÁKK", "EU", "EUK"} <= {
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
