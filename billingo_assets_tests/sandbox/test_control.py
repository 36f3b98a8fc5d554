import re
from typing import Any, get_args

import httpx
import msgspec
import pytest

from billingo_assets.sandbox import Company, Habits, Quirks, SandboxError, SandboxServer
from billingo_assets.sandbox.commands import MutationKind, read_assumptions
from billingo_assets.sandbox.faults import FaultKind
from billingo_assets.sandbox.query import Listing


def post(server: SandboxServer, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{server.base_url}/sandbox/{path}", json=body)


def test_the_front_page_tells_a_person_how_to_begin(server: SandboxServer, alma: Company) -> None:
    page = httpx.get(server.base_url)
    assert page.headers["Content-Type"].startswith("text/plain")
    for word in (server.url, alma.api_key, "/sandbox/ledger", "Alma Kft."):
        assert word in page.text


def test_every_path_the_front_page_names_exists(server: SandboxServer) -> None:
    text = httpx.get(server.base_url).text
    named = [line.split()[:2] for line in text.splitlines() if line.split()[1:2] and "/sandbox/" in line.split()[1]]
    assert len(named) == 10
    for method, path in named:
        assert httpx.request(method, server.base_url + path, content=b"{").status_code in (200, 204, 400)


def test_companies_are_listed_with_keys_that_work(server: SandboxServer) -> None:
    companies = httpx.get(f"{server.base_url}/sandbox/companies").json()["companies"]
    assert [company["key"] for company in companies] == ["alma", "korte"]
    for company in companies:
        answer = httpx.get(f"{server.url}/documents", headers={"X-API-KEY": company["api_key"]}).json()
        assert answer["total"] == company["documents"]


def test_mutations_can_be_posted(server: SandboxServer, alma: Company) -> None:
    exact = b'{"company": "alma", "mutation": "create", "fields": {"gross_total": 12345678901234567.89}}'
    text = httpx.post(f"{server.base_url}/sandbox/mutate", content=exact).text
    assert '"gross_total":12345678901234567.89' in text
    made = post(server, "mutate", {"company": "alma", "mutation": "create", "fields": {"comment": "kívülről"}})
    id_ = made.json()["document"]["id"]
    assert alma.document(id_)["comment"] == "kívülről"
    for mutation, fields in (("change", {"fields": {"gross_total": 1.1}}), ("pay", {}), ("cancel", {})):
        answer = post(server, "mutate", {"company": "alma", "mutation": mutation, "document_id": id_, **fields})
        assert answer.status_code == 200, answer.text
    assert str(alma.document(id_)["gross_total"]) == "1.1"
    assert (alma.document(id_)["payment_status"], alma.document(id_)["cancelled"]) == ("paid", True)
    draft = post(server, "mutate", {"company": "alma", "mutation": "create", "type": "draft"}).json()["document"]["id"]
    post(server, "mutate", {"company": "alma", "mutation": "delete", "document_id": draft})
    post(server, "mutate", {"company": "alma", "mutation": "add_raw", "text": "[]"})
    assert alma.ledger().documents == 160 + 4
    assert alma.ledger().uncounted == 1


def test_the_life_of_a_document_can_be_posted(server: SandboxServer, alma: Company) -> None:
    def told(mutation: str, document_id: int, **fields: Any) -> dict[str, Any]:
        body = {"company": "alma", "mutation": mutation, "document_id": document_id, **fields}
        document: dict[str, Any] = post(server, "mutate", body).json()["document"]
        assert document["id"] in alma.payloads()
        return document

    draft, other = (alma.create(type="draft")["id"] for _ in range(2))
    invoice = told("issue", draft)
    assert (invoice["id"], invoice["type"]) == (draft, "invoice")
    assert told("issue", other, as_new=True)["id"] not in (draft, other)
    assert told("pay", draft, on="2026-07-01")["paid_date"] == "2026-07-01"
    assert told("set_payment", draft, status="outstanding")["payment_status"] == "outstanding"
    assert told("set_payment", draft, status="partially_paid", on="2026-07-02")["paid_date"] == "2026-07-02"
    assert told("modify", draft)["related_documents"][0]["id"] == draft


def test_the_payloads_can_be_read_as_they_are_served(server: SandboxServer, alma: Company) -> None:
    answer = httpx.get(f"{server.base_url}/sandbox/payloads?company=alma")
    assert answer.json().keys() == {str(id_) for id_ in alma.payloads()}
    for id_, body in alma.payloads(on="2026-07-02").items():
        assert b'"%d":%s' % (id_, body) in answer.content
    unknown = httpx.get(f"{server.base_url}/sandbox/payloads")
    assert (unknown.status_code, "alma, korte" in unknown.text) == (400, True)


def test_the_front_page_names_everything_that_can_be_asked_for(server: SandboxServer) -> None:
    _, _, guide = httpx.get(server.base_url).text.partition("mutations:")
    kinds = (*get_args(MutationKind), *get_args(FaultKind), *get_args(Listing))
    for name in (*kinds, *Quirks.__struct_fields__, *Habits.__struct_fields__):
        assert re.search(rf"\b{name}\b", guide), name


@pytest.mark.parametrize(
    "body",
    [
        {"company": "szilva", "mutation": "create"},
        {"company": "alma", "mutation": "delete", "document_id": 1},
        {"company": "alma", "mutation": "issue", "document_id": 1},
        {"company": "alma", "mutation": "set_payment", "status": "late"},
        {"company": "alma", "mutation": "burn"},
        {"company": "alma", "mutation": "create", "typo": 1},
    ],
)
def test_an_impossible_mutation_is_a_400_that_says_why(server: SandboxServer, body: Any) -> None:
    answer = post(server, "mutate", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Nothing was changed: ")


def test_knobs_can_be_turned_one_by_one_and_back(server: SandboxServer, client: httpx.Client) -> None:
    post(server, "faults", {"rate_limit": {"requests": 100, "retry_after": 5}})
    post(server, "faults", {"quirks": {"clock_skew_seconds": -90, "documents_without_modification_time": [7]}})
    post(server, "faults", {"latency_seconds": 0.001})
    shown = post(server, "faults", {"fault": {"kind": "status", "status": 503}}).json()
    assert shown == httpx.get(f"{server.base_url}/sandbox/faults").json()
    assert shown["rate_limit"]["requests"] == 100
    assert shown["quirks"]["clock_skew_seconds"] == -90
    assert shown["latency_seconds"] == 0.001
    assert [fault["status"] for fault in shown["faults"]] == [503]
    assert client.get("/documents").status_code == 503
    assert post(server, "faults", {"rate_limit": None}).json()["rate_limit"] is None
    httpx.delete(f"{server.base_url}/sandbox/faults")
    assert server.faults.latency_seconds == 0
    assert server.faults.quirks.clock_skew_seconds == 0


def test_every_quirk_can_be_posted(server: SandboxServer) -> None:
    told = Quirks(
        last_modified_omits_new=True,
        last_modified_ignores_payments=True,
        modified_strictly_after=True,
        documents_without_modification_time=frozenset({1}),
        hidden_from_listing=frozenset({2, 3}),
        numbers_ignore_block=True,
        order="invoice_date",
        page_size_cap=30,
        receipts_only_by_type=True,
        type_filter_is_narrow=True,
        sends_date=False,
        clock_skew_seconds=1.5,
        time_zone="UTC",
        unpaid_paid_date="stored",
        paid_filter_finds_unpaid=True,
    )
    assert post(server, "faults", {"quirks": msgspec.to_builtins(told)}).status_code == 200
    assert server.faults.quirks == told


def test_every_habit_can_be_posted_with_a_reset(server: SandboxServer, alma: Company) -> None:
    habits = Habits(
        storno_amounts="positive",
        storno_payment_status="paid",
        cancelled_payment_status="none",
        originals_list_corrections=True,
        originals_name_corrections=True,
        modification="restatement",
        discount="header",
    )
    generated = alma.documents()
    assert post(server, "reset", {"habits": msgspec.to_builtins(habits)}).status_code == 204
    other = server.world.company("alma").documents()
    server.world.reset(habits=habits)
    assert server.world.company("alma").documents() == other != generated
    assert httpx.post(f"{server.base_url}/sandbox/reset").status_code == 204
    assert server.world.company("alma").documents() == generated
    refused = post(server, "reset", {"habits": {"storno_amounts": "blue"}})
    assert (refused.status_code, "Nothing was changed" in refused.text) == (400, True)


def test_assumptions_are_read_as_a_person_types_them() -> None:
    assumed = {"page_size_cap": "30", "receipts_only_by_type": "true", "storno_amounts": "positive"}
    quirks = Quirks(page_size_cap=30, receipts_only_by_type=True)
    assert read_assumptions(assumed) == (quirks, Habits(storno_amounts="positive"))
    assert read_assumptions({}) == (Quirks(), Habits())


@pytest.mark.parametrize(
    ("assumed", "words"),
    [
        ({"page_size": "30"}, "Nothing named 'page_size' can be assumed. There are .*page_size_cap.*storno_amounts"),
        ({"page_size_cap": "0"}, "page_size_cap cannot be '0'"),
        ({"storno_amounts": "blue"}, "storno_amounts cannot be 'blue'"),
        ({"time_zone": "Mars"}, "time_zone cannot be 'Mars'"),
    ],
)
def test_what_cannot_be_assumed_is_refused_in_words(assumed: dict[str, str], words: str) -> None:
    with pytest.raises(SandboxError, match=words):
        read_assumptions(assumed)


def test_a_misspelt_knob_is_refused(server: SandboxServer) -> None:
    assert post(server, "faults", {"fault": {"kind": "explode"}}).status_code == 400
    assert post(server, "faults", {"latency": 3}).status_code == 400


def test_a_value_that_no_server_can_have_is_refused(server: SandboxServer) -> None:
    assert post(server, "faults", {"fault": {"kind": "status", "status": 99}}).status_code == 400
    unknown = post(server, "faults", {"quirks": {"time_zone": "Mars"}})
    assert (unknown.status_code, "Mars is no time zone" in unknown.text) == (400, True)


def test_a_mutation_after_a_page_can_be_posted(server: SandboxServer, client: httpx.Client) -> None:
    post(server, "faults", {"after_page": {"page": 1, "mutation": {"company": "alma", "mutation": "create"}}})
    assert client.get("/documents?page=1").json()["total"] == 160
    assert client.get("/documents?page=2").json()["total"] == 161


def test_the_listing_to_wait_for_can_be_posted(server: SandboxServer, client: httpx.Client, alma: Company) -> None:
    mutation = {"company": "alma", "mutation": "create"}
    post(server, "faults", {"after_page": {"page": 1, "listing": "paid", "mutation": mutation}})
    post(server, "faults", {"fault": {"kind": "stall", "seconds": 0.01, "listing": "modified"}})
    client.get("/documents")
    assert alma.ledger().documents == 160
    client.get("/documents?paid_start_date=2026-01-01")
    assert alma.ledger().documents == 161
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/documents?last_modified_date=2026-01-01 00:00:00")
    assert post(server, "faults", {"fault": {"kind": "drop", "listing": "unpaid"}}).status_code == 400


def test_the_request_log_can_be_read_without_keys(server: SandboxServer, client: httpx.Client) -> None:
    client.get("/documents?page=1")
    log = httpx.get(f"{server.base_url}/sandbox/requests")
    assert log.json()["requests"] == [
        {"method": "GET", "path": "/v3/documents", "query": "page=1", "status": 200, "company": "alma"}
    ]
    assert client.headers["X-API-KEY"] not in log.text


def test_the_clock_can_be_put_forward_until_a_reset(server: SandboxServer, client: httpx.Client) -> None:
    assert post(server, "clock", {"advance_days": 2}).json() == {"today": "2026-07-04"}
    assert client.get("/utils/time").json()["formatted"].startswith("2026-07-04")
    assert post(server, "clock", {"advance_days": 1e300}).status_code == 400
    post(server, "reset", {})
    assert client.get("/utils/time").json()["formatted"].startswith("2026-07-02")


def test_a_reset_brings_back_the_generated_state(server: SandboxServer, client: httpx.Client) -> None:
    generated = client.get("/documents").content
    post(server, "mutate", {"company": "alma", "mutation": "create"})
    post(server, "faults", {"fault": {"kind": "status", "times": None}})
    assert post(server, "reset", {}).status_code == 204
    assert client.get("/documents").content == generated
    assert len(server.requests) == 1
