import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import httpx
import msgspec
import pytest

from billingo_assets.sandbox import Company, CompanySpec, Quirks, SandboxServer, World
from billingo_assets_tests.sandbox.conftest import Clock, every_document, first, modified, parts_of


def ids(client: httpx.Client, **parameters: Any) -> list[int]:
    return [document["id"] for document in every_document(client, **parameters)]


def test_last_modified_can_omit_new_documents(client: httpx.Client, server: SandboxServer, alma: Company) -> None:
    server.faults.quirks = Quirks(last_modified_omits_new=True)
    made = alma.create(paid_date=None)["id"]
    assert modified(client) == []
    alma.change(made, comment="új")
    assert modified(client) == [made]


def test_last_modified_can_ignore_payments(client: httpx.Client, server: SandboxServer, alma: Company) -> None:
    server.faults.quirks = Quirks(last_modified_ignores_payments=True)
    id_ = first(alma, "invoice", payment_status="expired")
    alma.pay(id_)
    assert modified(client) == []


def test_a_document_can_have_no_modification_time(client: httpx.Client, server: SandboxServer, alma: Company) -> None:
    id_ = first(alma, "invoice")
    server.faults.quirks = Quirks(documents_without_modification_time=frozenset({id_}))
    alma.change(id_, comment="új")
    assert modified(client) == []
    assert client.get(f"/documents/{id_}").json()["comment"] == "új"


def test_a_skewed_clock_shows_everywhere(client: httpx.Client, server: SandboxServer, alma: Company) -> None:
    server.faults.quirks = Quirks(clock_skew_seconds=-90)
    alma.change(first(alma, "invoice"), comment="új")
    assert client.get("/utils/time").json()["formatted"] == "2026-07-02 15:45:10"
    assert client.get("/documents").headers["Date"] == "Thu, 02 Jul 2026 13:45:10 GMT"
    assert modified(client) == []
    assert len(modified(client, "2026-07-02 15:45:10")) == 1


def test_a_modification_in_the_very_second_is_found_unless_the_bound_is_exclusive(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    id_ = first(alma, "invoice")
    alma.change(id_, comment="új")
    assert modified(client, "2026-07-02 15:46:40") == [id_]
    server.faults.quirks = Quirks(modified_strictly_after=True)
    assert modified(client, "2026-07-02 15:46:40") == []
    assert modified(client, "2026-07-02 15:46:39") == [id_]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"last_modified_date": "2020-01-01 00:00:00"}, {"start_date": "2020-01-01"}, {"type": "invoice"}],
)
def test_a_hidden_document_is_in_no_listing_and_in_no_total(
    client: httpx.Client, server: SandboxServer, alma: Company, parameters: dict[str, Any]
) -> None:
    shown = ids(client, **parameters)
    id_ = first(alma, "invoice")
    server.faults.quirks = Quirks(hidden_from_listing=frozenset({id_}))
    assert ids(client, **parameters) == [one for one in shown if one != id_]
    answer = client.get("/documents", params={"per_page": 1, **parameters}).json()
    assert answer["total"] == answer["last_page"] == len(shown) - 1


def test_a_hidden_document_is_found_by_its_number_and_by_its_id(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    id_ = first(alma, "invoice")
    server.faults.quirks = Quirks(hidden_from_listing=frozenset({id_}))
    _, year, number = parts_of(alma.document(id_)["invoice_number"])
    assert id_ in ids(client, start_year=year, start_number=number)
    assert id_ in ids(client, end_year=year, end_number=number)
    assert id_ in ids(client, start_year=year, start_number=number, end_year=year, end_number=number)
    assert client.get(f"/documents/{id_}").json()["id"] == id_
    assert id_ in alma.payloads()


def test_a_number_filter_goes_with_a_block_unless_the_block_is_ignored(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    bounds = {"start_year": 2025, "start_number": 1, "end_year": 2025, "end_number": 1}
    in_every_block = ids(client, **bounds)
    assert len(in_every_block) > 5
    assert len(ids(client, block_id=4100, **bounds)) == 1
    in_block = ids(client, block_id=4100)
    server.faults.quirks = Quirks(numbers_ignore_block=True)
    assert ids(client, block_id=4100, **bounds) == in_every_block
    assert ids(client, block_id=4100) == in_block
    assert 0 < len(ids(client, block_id=4100, type="invoice", **bounds)) < len(in_every_block)


@pytest.mark.parametrize("parameters", [{}, {"start_date": "2025-01-01"}, {"start_year": 2025, "start_number": 1}])
def test_the_newest_invoice_date_can_come_first(
    client: httpx.Client, server: SandboxServer, alma: Company, parameters: dict[str, Any]
) -> None:
    alma.change(first(alma, "invoice"), invoice_date="2025-06-01")
    alma.change(first(alma, "receipt"), invoice_date="2025-06-01")
    created = every_document(client, **parameters)
    server.faults.quirks = Quirks(order="invoice_date")
    # Sorting is stable: of one day, the newest created stays first.
    expected = sorted(created, key=lambda document: str(document["invoice_date"]), reverse=True)
    assert expected != created
    assert ids(client, **parameters) == [document["id"] for document in expected]


@pytest.mark.parametrize(("cap", "last_page"), [(25, 7), (30, 6), (50, 4)])
def test_a_server_can_cap_the_page_size_and_say_so(
    client: httpx.Client, server: SandboxServer, alma: Company, cap: int, last_page: int
) -> None:
    server.faults.quirks = Quirks(page_size_cap=cap)
    answer = client.get("/documents?per_page=100").json()
    assert (len(answer["data"]), answer["per_page"], answer["last_page"], answer["total"]) == (cap, cap, last_page, 160)
    assert ids(client) == [document["id"] for document in alma.documents()]
    assert client.get("/documents?per_page=10").json()["per_page"] == 10


@pytest.mark.parametrize("status", ["outstanding", "expired", "none"])
def test_an_unpaid_document_bears_the_day_on_which_it_is_read(
    client: httpx.Client, world: World, alma: Company, status: str
) -> None:
    id_ = alma.create(payment_status=status)["id"]
    others = alma.payloads().keys() - {
        one["id"] for one in alma.documents() if one["payment_status"] in ("outstanding", "expired", "none")
    }
    paid = [client.get(f"/documents/{one}").content for one in others]
    for day in ("2026-07-02", "2026-07-03"):
        shown = client.get(f"/documents/{id_}").json()
        assert shown["paid_date"] == day
        assert shown in every_document(client)
        assert {**shown, "paid_date": None} == {**msgspec.json.decode(alma.payloads()[id_]), "paid_date": None}
        assert [client.get(f"/documents/{one}").content for one in others] == paid
        world.advance(days=1)


def test_the_day_on_which_it_is_read_is_that_of_the_servers_time_zone(
    client: httpx.Client, server: SandboxServer, clock: Clock, alma: Company
) -> None:
    clock.now += 7 * 3600  # 22:46:40 in Budapest, the next morning in Auckland
    id_ = first(alma, "draft")
    assert client.get(f"/documents/{id_}").json()["paid_date"] == "2026-07-02"
    server.faults.quirks = Quirks(time_zone="Pacific/Auckland")
    assert client.get(f"/documents/{id_}").json()["paid_date"] == "2026-07-03"


def test_an_unpaid_document_can_be_served_as_it_is_stored(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.quirks = Quirks(unpaid_paid_date="stored")
    for body in server.world.company("alma").payloads().values():
        document = msgspec.json.decode(body)
        assert client.get(f"/documents/{document['id']}").content == body


def test_the_filter_by_payment_finds_what_is_not_paid_only_if_it_goes_by_the_day_shown(
    client: httpx.Client, server: SandboxServer, alma: Company
) -> None:
    unpaid = {one["id"] for one in alma.documents() if one["payment_status"] in ("outstanding", "expired", "none")}
    assert unpaid
    assert not unpaid & set(ids(client, paid_start_date="2020-01-01"))
    server.faults.quirks = Quirks(paid_filter_finds_unpaid=True)
    assert unpaid <= set(ids(client, paid_start_date="2026-07-02"))
    assert not unpaid & set(ids(client, paid_start_date="2026-07-03"))


@pytest.mark.parametrize(
    "parameters", [{}, {"start_date": "2025-01-01"}, {"last_modified_date": "2025-01-01 00:00:00"}]
)
def test_receipts_can_be_in_no_listing_but_their_own(
    client: httpx.Client, server: SandboxServer, parameters: dict[str, Any]
) -> None:
    before = every_document(client, **parameters)
    server.faults.quirks = Quirks(receipts_only_by_type=True)
    shown = every_document(client, **parameters)
    assert shown == [one for one in before if one["type"] not in ("receipt", "receipt_cancellation")]
    assert len(shown) < len(before)
    assert ids(client, type="receipt", **parameters) == [one["id"] for one in before if one["type"] == "receipt"]


def test_a_receipt_that_is_in_no_listing_is_found_by_its_number(client: httpx.Client, server: SandboxServer) -> None:
    bounds = {"block_id": 4103, "start_year": 2025, "start_number": 1, "end_year": 2025, "end_number": 3}
    receipts = ids(client, **bounds)
    server.faults.quirks = Quirks(receipts_only_by_type=True)
    assert len(receipts) == 3
    assert ids(client, **bounds) == receipts


def test_the_type_filter_can_know_two_types_alone(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.quirks = Quirks(type_filter_is_narrow=True)
    statuses = {type_: client.get(f"/documents?type={type_}").status_code for type_ in ("invoice", "receipt", "draft")}
    assert statuses == {"invoice": 200, "receipt": 200, "draft": 422}


def test_the_date_header_can_be_missing(client: httpx.Client, server: SandboxServer) -> None:
    for path in ("/documents", "/organization", "/nothing"):
        assert "Date" in client.get(path).headers
    server.faults.quirks = Quirks(sends_date=False)
    for path in ("/documents", "/organization", "/nothing"):
        assert "Date" not in client.get(path).headers


@pytest.mark.parametrize(
    "quirks",
    [
        pytest.param(Quirks(), id="none"),
        pytest.param(Quirks(order="invoice_date"), id="another order"),
        pytest.param(Quirks(hidden_from_listing=frozenset({7})), id="one hidden"),
    ],
)
def test_a_page_costs_no_more_steps_in_a_large_company(quirks: Quirks) -> None:
    assert steps_of_a_page(20_000, quirks) < 1.5 * steps_of_a_page(200, quirks)


def steps_of_a_page(documents: int, quirks: Quirks) -> int:
    """Count the Python instructions that answer the second page of a listing."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal counted
        frame.f_trace_opcodes = True
        counted += event == "opcode"
        return count

    world = World(companies=[CompanySpec("egy", "Egy Kft.", documents)])
    threading.settrace(count)
    try:
        with (
            SandboxServer(world) as server,
            httpx.Client(headers={"X-API-KEY": world.company("egy").api_key}, timeout=60) as client,
        ):
            server.faults.quirks = quirks
            client.get(f"{server.url}/documents?per_page=1")
            counted = 0
            assert client.get(f"{server.url}/documents?per_page=1&page=2").status_code == 200
            return counted
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
