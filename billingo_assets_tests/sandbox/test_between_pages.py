from typing import Any

import httpx
import pytest

from billingo_assets.sandbox import Company, Fault, SandboxServer
from billingo_assets.sandbox.query import Listing
from billingo_assets_tests.sandbox.conftest import every_document

QUERIES: dict[Listing, dict[str, Any]] = {
    "all": {},
    "modified": {"last_modified_date": "2026-01-01 00:00:00"},
    "paid": {"paid_start_date": "2026-01-01", "paid_end_date": "2026-12-31"},
    "number": {"start_number": 1, "start_year": 2026, "block_id": 4100},
}
OTHER_QUERY = {"start_date": "2026-01-01"}


def test_a_document_created_between_two_pages_shifts_the_rest_back(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    server.faults.after_page(1, alma.create)
    first, second = (client.get(f"/documents?page={page}").json() for page in (1, 2))
    assert second["data"][0] == first["data"][-1]
    assert (first["total"], second["total"]) == (160, 161)


def test_a_draft_deleted_between_two_pages_shifts_the_rest_forward(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    draft = alma.create(type="draft")["id"]
    everything = [document["id"] for document in every_document(client)]
    server.faults.after_page(1, lambda: alma.delete(draft), company="alma")
    seen = [document["id"] for document in every_document(client, per_page=50)]
    assert [id_ for id_ in everything if id_ not in seen] == [everything[50]]


def test_a_mutation_between_pages_waits_for_its_company_and_runs_once(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    server.faults.after_page(1, alma.create, company="korte")
    client.get("/documents")
    assert alma.ledger().documents == 160
    other = {"X-API-KEY": server.world.company("korte").api_key}
    for _ in range(2):
        httpx.get(f"{server.url}/documents", headers=other)
    assert alma.ledger().documents == 161


@pytest.mark.parametrize("listing", QUERIES)
def test_a_mutation_between_pages_waits_for_its_listing(
    client: httpx.Client, server: SandboxServer, alma: Company, listing: Listing
) -> None:
    server.faults.after_page(1, alma.create, listing=listing, times=2)
    client.get("/organization")
    for other in [OTHER_QUERY, *(query for name, query in QUERIES.items() if name != listing)]:
        client.get("/documents", params={"page": 1, **other})
    client.get("/documents", params={"page": 2, **QUERIES[listing]})
    assert alma.ledger().documents == 160
    for _ in range(3):
        client.get("/documents", params={"page": 1, "per_page": 10, **QUERIES[listing]})
    assert alma.ledger().documents == 162


def test_a_mutation_between_pages_takes_any_listing_when_told_none(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    server.faults.after_page(1, alma.create, times=100)
    for at, query in enumerate([OTHER_QUERY, *QUERIES.values()], start=1):
        client.get("/documents", params=query)
        assert alma.ledger().documents == 160 + at


@pytest.mark.parametrize("listing", QUERIES)
def test_a_fault_waits_for_its_listing(client: httpx.Client, server: SandboxServer, listing: Listing) -> None:
    server.faults.add(Fault(kind="status", listing=listing))
    for other in [OTHER_QUERY, *(query for name, query in QUERIES.items() if name != listing)]:
        assert client.get("/documents", params=other).status_code == 200
    assert client.get("/organization").status_code == 200
    assert client.get("/documents", params=QUERIES[listing]).status_code == 500
    assert client.get("/documents", params=QUERIES[listing]).status_code == 200


def test_a_listing_with_two_filters_is_of_both_kinds(client: httpx.Client, server: SandboxServer) -> None:
    for listing in ("modified", "paid"):
        server.faults.add(Fault(kind="status", listing=listing))
        both = {**QUERIES["modified"], **QUERIES["paid"]}
        assert client.get("/documents", params=both).status_code == 500


@pytest.mark.parametrize(
    "name",
    [
        *("start_date", "end_date", "paid_end_date", "fulfillment_start_date", "fulfillment_end_date", "query"),
        *("end_number", "end_year", "type", "payment_status", "payment_method", "partner_id", "block_id"),
    ],
)
def test_a_listing_with_any_other_filter_is_of_no_kind(client: httpx.Client, server: SandboxServer, name: str) -> None:
    for listing in QUERIES:
        server.faults.add(Fault(kind="status", listing=listing))
    assert client.get("/documents", params={name: "1"}).status_code in (200, 422)


def test_what_is_no_filter_makes_no_other_listing(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="status", listing="all"))
    assert client.get("/documents?page=2&per_page=10&colour=blue").status_code == 500
