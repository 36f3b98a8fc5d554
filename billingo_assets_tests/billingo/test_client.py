import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import BillingoError, MalformedAnswerError, TooLargeAnswerError, UnavailableError
from billingo_assets.sandbox import Company, Quirks, SandboxServer
from billingo_assets_tests.billingo.conftest import KEY, Connect, Listener
from billingo_assets_tests.support.patience import PATIENCE_SECONDS


def test_the_identity_is_the_tax_code_of_the_key(client: BillingoClient, company: Company) -> None:
    assert client.identity().tax_code == company.tax_code


@pytest.mark.parametrize("body", [b"{}", b'{"tax_code": ""}', b'{"tax_code": "--"}', b'{"tax_code": null}'])
def test_an_identity_without_a_tax_code_has_none(listener: Listener, connect: Connect, body: bytes) -> None:
    listener.body = body
    assert connect(listener.url).identity().tax_code is None


def test_the_identity_is_dated_by_the_clock_of_the_server(sandbox: SandboxServer, client: BillingoClient) -> None:
    sandbox.faults.quirks = Quirks(clock_skew_seconds=7200)
    told = client.identity().server_time
    assert told is not None
    assert abs(told - datetime.now(UTC) - timedelta(hours=2)) < timedelta(seconds=30)


def test_documents_come_through_as_the_bytes_that_were_sent(
    sandbox: SandboxServer, client: BillingoClient, company: Company
) -> None:
    sandbox.faults.quirks = Quirks(unpaid_paid_date="stored")
    newest_first = [record.body for record in reversed(company.records)]
    read = [document for page in (1, 2, 3) for document in client.records("/documents", page=page).records]
    assert read == newest_first


@pytest.mark.parametrize(
    "document",
    [
        b'{"id":1,"gross_total":0.1000,"conversion_rate":1.0,"net":12345678901234567890.123456789,"vat":1e400,"q":-0.0}',
        '{ "id" : 2 , "comment":"\\u00e1 á",\n "id":3 }'.encode(),
        b'"not an object"',
    ],
)
def test_a_document_is_not_spelt_anew(client: BillingoClient, company: Company, document: bytes) -> None:
    company.add_raw(document)
    assert client.records("/documents", page=1).records[0] == document


def test_a_page_tells_its_number_and_what_there_is_in_all(client: BillingoClient, company: Company) -> None:
    page = client.records("/documents", page=2, page_size=50)
    total = len(company.records)
    assert (page.number, page.last_page, page.total, len(page.records)) == (2, -(-total // 50), total, 50)


def test_filters_go_with_the_request(sandbox: SandboxServer, client: BillingoClient) -> None:
    client.records("/documents", page=1, filters={"last_modified_date": "2026-06-01 00:00:00"})
    assert sandbox.requests[-1].query == "page=1&per_page=100&last_modified_date=2026-06-01+00%3A00%3A00"


def test_counting_documents_reads_one_of_them(sandbox: SandboxServer, client: BillingoClient, company: Company) -> None:
    assert client.count("/documents") == len(company.records)
    assert sandbox.requests[-1].query == "page=1&per_page=1"


def test_every_request_is_a_get_with_the_key_below_the_path_of_the_api(listener: Listener, connect: Connect) -> None:
    listener.body = b'{"data": [], "total": 0, "last_page": 1}'
    client = connect(listener.url)
    client.identity()
    client.records("/documents", page=1)
    client.count("/documents")
    sent = [
        (request.method, request.path.partition("?")[0], request.headers["X-API-KEY"]) for request in listener.received
    ]
    assert sent == [("GET", "/v3/organization", KEY), ("GET", "/v3/documents", KEY), ("GET", "/v3/documents", KEY)]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"",
        b'{"data": []}',
        b'{"data": {}, "total": 0, "last_page": 1}',
        b'{"data": [], "total": null, "last_page": 1}',
        b'{"data": [1, 2',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data": [' + b"[" * 100_000,
    ],
)
def test_a_page_of_another_shape_is_malformed(listener: Listener, connect: Connect, body: bytes) -> None:
    listener.body = body
    with pytest.raises(MalformedAnswerError, match="not what its API promises"):
        connect(listener.url, attempts=1).records("/documents", page=1)


def test_too_large_an_answer_is_not_read(listener: Listener, connect: Connect) -> None:
    listener.body = b" " * (2**20 + 1)
    client = connect(listener.url, max_response_bytes=2**20)
    with pytest.raises(TooLargeAnswerError, match=r"larger than 1 MiB\..* BILLINGO_MAX_RESPONSE_MIB"):
        client.identity()
    assert client.calls == 1


def test_threads_each_get_the_page_they_asked_for(client: BillingoClient) -> None:
    one_after_the_other = [client.records("/documents", page=page, page_size=10) for page in range(1, 30)]
    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(lambda page: client.records("/documents", page=page, page_size=10), range(1, 30)))
    assert at_once == one_after_the_other


def test_more_threads_than_connections_break_none_of_them(sandbox: SandboxServer, client: BillingoClient) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: client.identity(), range(600)))
    assert (client.calls, len(sandbox.requests)) == (600, 600)


def test_as_many_requests_as_allowed_are_under_way_at_once(listener: Listener, connect: Connect) -> None:
    all_here = threading.Barrier(3)
    listener.before_answer = lambda: all_here.wait(timeout=PATIENCE_SECONDS)
    client = connect(listener.url, concurrent_requests=3, attempts=1)
    with ThreadPoolExecutor(3) as threads:
        # Were there fewer connections, the barrier would break and the answers with it.
        waiting = [threads.submit(client.identity) for _ in range(3)]
    assert [answer.exception() for answer in waiting] == [None] * 3


def test_no_more_requests_than_allowed_are_under_way_at_once(listener: Listener, connect: Connect) -> None:
    under_way = threading.Semaphore(2)
    overrun = threading.Event()

    def enter_and_leave() -> None:
        if not under_way.acquire(blocking=False):
            overrun.set()
            return
        overrun.wait(timeout=0.05)
        under_way.release()

    listener.before_answer = enter_and_leave
    client = connect(listener.url, concurrent_requests=2)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: client.identity(), range(8)))
    assert (overrun.is_set(), len(listener.received)) == (False, 8)


def test_a_paced_client_lets_a_burst_through_and_then_waits(
    sandbox: SandboxServer, company: Company, connect: Connect
) -> None:
    client = connect(sandbox.url, company.api_key, requests_per_minute=2)
    client.identity()
    client.identity()
    with ThreadPoolExecutor(1) as threads:
        third = threads.submit(client.identity)
        with pytest.raises(TimeoutError):
            third.result(timeout=0.3)
        client.close()
        assert isinstance(third.exception(timeout=PATIENCE_SECONDS), BillingoError)
    assert len(sandbox.requests) == 2


def test_an_address_that_no_key_may_be_sent_to_is_refused(connect: Connect) -> None:
    with pytest.raises(ValueError, match="plain http is allowed to loopback only"):
        connect("http://api.billingo.hu/v3")


def test_closing_wakes_who_waits_for_another_try(listener: Listener, connect: Connect) -> None:
    listener.status, listener.headers["Retry-After"] = 429, "20"
    client = connect(listener.url, total_seconds=30)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.identity)
        assert listener.asked.wait(timeout=PATIENCE_SECONDS)
        client.close()
        assert isinstance(waiting.exception(timeout=PATIENCE_SECONDS), BillingoError)


def test_a_closed_client_sends_nothing(sandbox: SandboxServer, client: BillingoClient) -> None:
    client.close()
    with pytest.raises(BillingoError, match="the sync is ending"):
        client.identity()
    assert len(sandbox.requests) == 0


def test_leaving_the_block_closes_the_client(sandbox: SandboxServer, client: BillingoClient) -> None:
    with client:
        client.identity()
    with pytest.raises(BillingoError, match="the sync is ending"):
        client.identity()


def test_a_server_that_is_not_there_is_unavailable_by_its_address(connect: Connect, closed_url: str) -> None:
    client = connect(closed_url, attempts=3)
    with pytest.raises(
        UnavailableError, match=rf"Billingo at {closed_url}/? cannot be reached \(Connection refused\)\."
    ):
        client.identity()
    assert client.calls == 3
