from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from billingo_assets.sandbox import Company, SandboxServer, World
from billingo_assets_tests.sandbox.conftest import every_document, parts_of


def page(client: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = client.get("/documents", params=parameters)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def partner_of(document: dict[str, Any]) -> dict[str, Any]:
    partner: dict[str, Any] = document.get("document_partner") or document["partner"]
    return partner


def numbered(document: dict[str, Any]) -> tuple[int, int] | None:
    number = document.get("invoice_number")
    return parts_of(number)[1:] if number else None


def between(key: str, low: str, high: str) -> Any:
    return lambda document: bool(document.get(key)) and low <= document[key] <= high


def test_the_envelope_has_the_documented_fields(client: httpx.Client) -> None:
    answer = page(client, page=2, per_page=50)
    assert len(answer.pop("data")) == 50
    next_url, previous_url = answer.pop("next_page_url"), answer.pop("prev_page_url")
    assert answer == {"total": 160, "per_page": 50, "current_page": 2, "last_page": 4}
    assert httpx.URL(next_url).params == httpx.QueryParams(page="3", per_page="50")
    assert httpx.URL(previous_url).params["page"] == "1"


def test_the_next_page_url_can_be_followed_to_the_end(client: httpx.Client) -> None:
    seen, url = [], "/documents?per_page=37&page=1"
    while url:
        answer = client.get(url).json()
        seen += answer["data"]
        url = answer["next_page_url"]
    assert len(seen) == 160


def test_documents_come_newest_first_and_each_once(client: httpx.Client, alma: Company) -> None:
    expected = [document["id"] for document in alma.documents()]
    assert expected == sorted(expected, reverse=True)
    assert [document["id"] for document in every_document(client, per_page=33)] == expected


def test_a_page_has_25_documents_when_nothing_is_said(client: httpx.Client) -> None:
    answer = page(client)
    assert (len(answer["data"]), answer["per_page"], answer["current_page"]) == (25, 25, 1)


def test_a_page_after_the_last_is_empty(client: httpx.Client) -> None:
    answer = page(client, page=9, per_page=100)
    assert (answer["data"], answer["total"], answer["last_page"]) == ([], 160, 2)
    assert answer["next_page_url"] is None


def test_the_last_page_holds_the_rest(client: httpx.Client) -> None:
    answer = page(client, page=2, per_page=100)
    assert len(answer["data"]) == 60
    assert answer["next_page_url"] is None


def test_nothing_found_is_one_empty_page(client: httpx.Client) -> None:
    answer = page(client, query="ilyen nincs")
    assert (answer["data"], answer["total"], answer["last_page"]) == ([], 0, 1)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (
            {"start_date": "2025-03-01", "end_date": "2025-09-30"},
            between("invoice_date", "2025-03-01", "2025-09-30"),
        ),
        ({"start_date": "2026-01-01"}, between("invoice_date", "2026-01-01", "9")),
        ({"end_date": "2024-12-31"}, between("invoice_date", "0", "2024-12-31")),
        (
            {"paid_start_date": "2025-03-01", "paid_end_date": "2025-09-30"},
            between("paid_date", "2025-03-01", "2025-09-30"),
        ),
        (
            {"fulfillment_start_date": "2025-03-01", "fulfillment_end_date": "2025-09-30"},
            between("fulfillment_date", "2025-03-01", "2025-09-30"),
        ),
        ({"type": "invoice"}, lambda document: document["type"] == "invoice"),
        ({"type": "receipt"}, lambda document: document["type"] == "receipt"),
        ({"type": "advance"}, lambda document: document["type"] == "advance"),
        ({"payment_status": "paid"}, lambda document: document["payment_status"] == "paid"),
        ({"payment_method": "wire_transfer"}, lambda document: document["payment_method"] == "wire_transfer"),
        ({"partner_id": 500001}, lambda document: partner_of(document)["id"] == 500001),
        ({"block_id": 4101}, lambda document: document["block_id"] == 4101),
        (
            {"start_number": 5, "start_year": 2024, "end_number": 3, "end_year": 2025},
            lambda document: (2024, 5) <= (numbered(document) or (0, 0)) <= (2025, 3),
        ),
        ({"query": "ZRT."}, lambda document: "Zrt." in partner_of(document)["name"]),
        ({"query": "ny-2025-2"}, lambda document: "NY-2025-2" in (document.get("invoice_number") or "")),
        (
            {"type": "invoice", "payment_status": "paid", "start_date": "2025-01-01"},
            lambda document: (
                (document["type"], document["payment_status"]) == ("invoice", "paid")
                and document["invoice_date"] >= "2025-01-01"
            ),
        ),
    ],
)
def test_a_filter_selects_what_a_plain_search_finds(
    client: httpx.Client, alma: Company, parameters: dict[str, Any], expected: Any
) -> None:
    wanted = [document["id"] for document in alma.documents() if expected(document)]
    assert 0 < len(wanted) < 160
    assert [document["id"] for document in every_document(client, **parameters)] == wanted


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"per_page": 101}, "per_page"),
        ({"per_page": 0}, "per_page"),
        ({"page": 0}, "page"),
        ({"page": "egy"}, "page"),
        ({"page": "9" * 30}, "page"),
        ({"start_date": "2026-02-30"}, "start_date"),
        ({"end_date": "20260101"}, "end_date"),
        ({"paid_start_date": "tegnap"}, "paid_start_date"),
        ({"fulfillment_end_date": ""}, "fulfillment_end_date"),
        ({"last_modified_date": "2026-06-01"}, "last_modified_date"),
        ({"last_modified_date": "2026-06-01 25:00:00"}, "last_modified_date"),
        ({"start_number": 5}, "start_year"),
        ({"end_year": 2025}, "end_number"),
        ({"type": "számla"}, "type"),
        ({"payment_status": "late"}, "payment_status"),
        ({"partner_id": "x"}, "partner_id"),
        ({"block_id": -1}, "block_id"),
    ],
)
def test_a_bad_parameter_is_a_422_that_names_the_field(
    client: httpx.Client, parameters: dict[str, Any], field: str
) -> None:
    answer = client.get("/documents", params=parameters)
    assert answer.status_code == 422
    content = answer.json()
    assert content["message"] == "Validation Failed"
    [problem] = content["errors"]
    assert problem["field"] == field
    assert problem["message"]


def test_every_bad_parameter_is_reported(client: httpx.Client) -> None:
    answer = client.get("/documents", params={"per_page": 101, "start_date": "x"})
    assert [problem["field"] for problem in answer.json()["errors"]] == ["per_page", "start_date"]


def test_an_unknown_parameter_is_ignored(client: httpx.Client) -> None:
    assert page(client, colour="kék")["total"] == 160


def test_a_filtered_listing_sees_changes_at_once(client: httpx.Client, alma: Company) -> None:
    def totals() -> list[int]:
        filters: tuple[dict[str, Any], ...] = ({"start_date": "2026-07-01"}, {"query": "új név"})
        return [page(client, **parameters)["total"] for parameters in filters]

    before = totals()
    draft = alma.create(type="draft")["id"]
    assert totals() == [before[0] + 1, 0]
    alma.change(draft, document_partner={"id": 1, "name": "Új név"})
    assert totals() == [before[0] + 1, 1]
    alma.delete(draft)
    assert totals() == [before[0], 0]


def test_a_document_can_be_read_alone_as_the_listing_shows_it(client: httpx.Client) -> None:
    listed = page(client)["data"][3]
    assert client.get(f"/documents/{listed['id']}").json() == listed


def test_each_key_sees_its_own_company(server: SandboxServer, world: World) -> None:
    for company in world.companies:
        with httpx.Client(base_url=server.url, headers={"X-API-KEY": company.api_key}) as client:
            assert client.get("/organization").json()["tax_code"] == company.tax_code
            assert every_document(client)[0]["organization"]["name"] == company.name


def test_the_ledger_equals_a_recount_over_http(client: httpx.Client, server: SandboxServer) -> None:
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    documents = [
        document
        for number in (1, 2)
        for document in decoder.decode(client.get(f"/documents?per_page=100&page={number}").content)["data"]
    ]
    ledger = httpx.get(f"{server.base_url}/sandbox/ledger").json()["companies"]["alma"]
    assert ledger["documents"] == len(documents)
    assert ledger["items"] == sum(len(document["items"]) for document in documents)
    assert ledger["links"] == sum(len(document["related_documents"]) for document in documents) > 0
    assert ledger["cancelled"] == sum(document["cancelled"] for document in documents) > 0
    for status, count in ledger["by_payment_status"].items():
        assert count == sum(document["payment_status"] == status for document in documents)
    assert sum(ledger["by_payment_status"].values()) == len(documents)
    for type_, count in ledger["by_type"].items():
        assert count == sum(document["type"] == type_ for document in documents)
    assert sum(totals["documents"] for totals in ledger["currencies"].values()) == len(documents)
    for currency, totals in ledger["currencies"].items():
        chosen = [document for document in documents if document["currency"] == currency]
        assert Decimal(totals["gross"]) == sum(document["gross_total"] for document in chosen)
        assert Decimal(totals["net"]) == sum(document["summary"]["net_amount"] for document in chosen)
        assert Decimal(totals["vat"]) == sum(document["summary"]["vat_amount"] for document in chosen)
