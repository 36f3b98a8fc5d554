import threading
import time
from email.utils import parsedate_to_datetime
from itertools import product
from typing import Any

import httpx
import pytest

from billingo_assets.sandbox import Company, Fault, RateLimit, SandboxServer
from billingo_assets.sandbox.faults import FaultKind, RetryAfter
from billingo_assets_tests.support.patience import until

SOUND_PIECES = 5  # a sound answer arrives in so many at most, a slow one in 20: seconds would depend on the machine
PER_PAGE = 60  # of the 160 documents: three pages
OF_THE_LISTING: tuple[FaultKind, ...] = ("empty_page", "repeated_page", "last_page", "total")
RETRY_AFTER: tuple[RetryAfter, ...] = ("none", "seconds", "http-date", "zero", "nonsense", 7)
EVERY_FAULT: tuple[dict[str, Any], ...] = (
    *({"kind": "status", "status": status} for status in (401, 403, 404, 422, 500, 502, 503, 504)),
    *({"kind": "status", "status": 429, "retry_after": mode} for mode in RETRY_AFTER),
    {"kind": "drop"},
    {"kind": "stall", "seconds": 0.01},
    {"kind": "truncate"},
    {"kind": "not_json"},
    {"kind": "error_in_200"},
    {"kind": "slow_body", "seconds": 0.8},
    {"kind": "redirect"},
    {"kind": "empty_page"},
    {"kind": "repeated_page"},
    {"kind": "last_page", "value": 1},
    {"kind": "last_page", "value": 30},
    {"kind": "total", "value": 3},
    {"kind": "total", "value": 300},
)


@pytest.fixture
def sound_pages(client: httpx.Client) -> list[bytes]:
    return [client.get("/documents", params={"per_page": PER_PAGE, "page": page}).content for page in (1, 2, 3)]


def goes_wrong(client: httpx.Client, page: int, sound_pages: list[bytes]) -> bool:
    """Read a page and say whether it fails, is another than it should be, or comes bit by bit."""
    try:
        status, body, is_slow = read(client, "/documents", per_page=PER_PAGE, page=page)
    except httpx.HTTPError:
        return True
    return (status, body) != (200, sound_pages[page - 1]) or is_slow


def read(client: httpx.Client, path: str, **parameters: int) -> tuple[int, bytes, bool]:
    """Read an answer: its status, its body, and whether that came bit by bit."""
    with client.stream("GET", path, params=parameters) as answer:
        pieces = list(answer.iter_raw())
    return answer.status_code, b"".join(pieces), len(pieces) > SOUND_PIECES


def statuses(client: httpx.Client, count: int, path: str = "/documents") -> list[int]:
    return [client.get(path).status_code for _ in range(count)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 500, 503])
def test_a_status_fault_answers_in_the_documented_shape(
    client: httpx.Client, server: SandboxServer, status: int
) -> None:
    server.faults.add(Fault(kind="status", status=status))
    answer = client.get("/documents")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert ("trace_id" in answer.json()["error"]) == (status == 500)


def test_a_422_fault_has_the_shape_of_a_validation_error(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="status", status=422))
    assert client.get("/documents").json().keys() == {"message", "errors"}


def test_a_gateway_answers_html(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="status", status=502))
    server.faults.add(Fault(kind="status", status=503, html=True))
    server.faults.add(Fault(kind="status", status=504))
    for status in (502, 503, 504):
        answer = client.get("/documents")
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")


def test_a_fault_strikes_as_often_as_told(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="status", skip=1, times=2))
    assert statuses(client, 5) == [200, 500, 500, 200, 200]
    assert server.faults.armed() == []


def test_a_fault_for_ever_stays_until_it_is_cleared(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="status", times=None))
    assert statuses(client, 4) == [500] * 4
    server.faults.clear()
    assert statuses(client, 1) == [200]


@pytest.mark.parametrize(
    ("narrowed", "spared", "struck"),
    [
        ({"path": "/v3/documents"}, "/organization", "/documents"),
        ({"page": 2}, "/documents?page=1", "/documents?page=2"),
        ({"page": 1}, "/documents?page=3", "/documents"),
        ({"page": 1}, "/organization", "/documents"),
        ({"company": "alma"}, "", "/documents"),
    ],
)
def test_a_fault_strikes_only_what_it_matches(
    client: httpx.Client, server: SandboxServer, narrowed: dict[str, Any], spared: str, struck: str
) -> None:
    server.faults.add(Fault(kind="status", status=503, **narrowed))
    server.faults.add(Fault(kind="status", status=500, company="korte", times=None))
    if spared:
        assert client.get(spared).status_code == 200
    assert client.get(struck).status_code == 503
    assert client.get(struck).status_code == 200


def test_a_dropped_connection_gives_no_answer_and_the_next_request_does(
    client: httpx.Client, server: SandboxServer
) -> None:
    server.faults.add(Fault(kind="drop"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.get("/documents")
    assert client.get("/documents").status_code == 200
    assert [request.status for request in server.requests] == [0, 200]


def test_a_stalled_answer_outlasts_the_patience_of_the_client(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="stall", seconds=60))
    with pytest.raises(httpx.ReadTimeout):
        client.get("/documents", timeout=0.1)
    assert client.get("/documents").status_code == 200
    assert [request.status for request in server.requests] == [0, 200]


def test_a_stalled_connection_is_closed_after_its_seconds(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="stall", seconds=0.2))
    started = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.get("/documents")
    assert time.monotonic() - started >= 0.2


def test_a_truncated_body_is_shorter_than_announced(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="truncate"))
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        client.get("/documents")
    assert client.get("/documents").status_code == 200


def test_a_200_can_be_something_else_than_json(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="not_json"))
    answer = client.get("/documents")
    assert answer.status_code == 200
    assert answer.text.startswith("<html>")


def test_a_200_can_carry_an_error(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="error_in_200"))
    answer = client.get("/documents")
    assert (answer.status_code, list(answer.json())) == (200, ["error"])


def test_a_slow_body_takes_its_time_and_is_whole(client: httpx.Client, server: SandboxServer) -> None:
    expected = client.get("/documents").content
    server.faults.add(Fault(kind="slow_body", seconds=0.2))
    started = time.monotonic()
    assert client.get("/documents").content == expected
    assert time.monotonic() - started >= 0.2


def test_a_short_body_is_as_slow_as_a_long_one(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="slow_body", seconds=0.2))
    started = time.monotonic()
    assert client.get("/organization").status_code == 200
    assert time.monotonic() - started >= 0.2


def test_latency_delays_every_answer(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.latency_seconds = 0.1
    started = time.monotonic()
    assert client.get("/organization").status_code == 200
    assert time.monotonic() - started >= 0.1


def test_a_redirect_points_to_another_host(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="redirect", location="http://127.0.0.3:1/v3/documents"))
    answer = client.get("/documents")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.3:1/v3/documents")


def test_an_empty_page_keeps_a_true_envelope(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="empty_page", page=2))
    answer = client.get("/documents?page=2").json()
    assert (answer["data"], answer["total"], answer["current_page"]) == ([], 160, 2)


def test_a_repeated_page_is_the_page_before(client: httpx.Client, server: SandboxServer) -> None:
    before = client.get("/documents?page=2").json()["data"]
    server.faults.add(Fault(kind="repeated_page", page=3))
    answer = client.get("/documents?page=3").json()
    assert (answer["data"], answer["current_page"]) == (before, 3)


@pytest.mark.parametrize("kind", ["last_page", "total"])
def test_the_envelope_can_lie(client: httpx.Client, server: SandboxServer, kind: FaultKind) -> None:
    server.faults.add(Fault(kind=kind, value=3))
    answer = client.get("/documents").json()
    assert answer[kind] == 3
    assert len(answer["data"]) == 25


def test_the_rate_limit_counts_each_key_alone(client: httpx.Client, server: SandboxServer, alma: Company) -> None:
    server.faults.rate_limit = RateLimit(requests=3)
    assert statuses(client, 5) == [200, 200, 200, 429, 429]
    other = {"X-API-KEY": server.world.company("korte").api_key}
    assert httpx.get(f"{server.url}/documents", headers=other).status_code == 200
    assert client.get("/documents").json() == {"error": {"message": "Too many requests"}}


def test_the_rate_limit_opens_again_after_its_window(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.rate_limit = RateLimit(requests=1, window_seconds=0.05)
    assert client.get("/organization").status_code == 200
    until(lambda: client.get("/organization").status_code != 429 or None, what="the end of the limit")


@pytest.mark.parametrize(
    ("mode", "header"),
    [("none", None), ("zero", "0"), ("nonsense", "soon, but not too soon"), (7, "7"), ("seconds", "60")],
)
def test_retry_after_comes_as_told(
    client: httpx.Client, server: SandboxServer, mode: RetryAfter, header: str | None
) -> None:
    server.faults.rate_limit = RateLimit(requests=0, retry_after=mode)
    assert client.get("/documents").headers.get("Retry-After") == header


@pytest.mark.parametrize(
    ("mode", "header"),
    [("none", None), ("zero", "0"), ("nonsense", "soon, but not too soon"), (7, "7"), ("seconds", "3")],
)
def test_a_single_429_says_when_to_come_again_as_told(
    client: httpx.Client, server: SandboxServer, mode: RetryAfter, header: str | None
) -> None:
    server.faults.add(Fault(kind="status", status=429, retry_after=mode, seconds=3))
    answer = client.get("/documents")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, header)
    assert client.get("/documents").status_code == 200


def test_retry_after_can_be_a_date_by_the_clock_of_the_server(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.rate_limit = RateLimit(requests=0, retry_after="http-date")
    answer = client.get("/documents")
    until, now = (parsedate_to_datetime(answer.headers[name]) for name in ("Retry-After", "Date"))
    assert (until - now).total_seconds() == 60


def test_a_single_429_can_name_a_date(client: httpx.Client, server: SandboxServer) -> None:
    server.faults.add(Fault(kind="status", status=429, retry_after="http-date", seconds=3))
    answer = client.get("/documents")
    until, now = (parsedate_to_datetime(answer.headers[name]) for name in ("Retry-After", "Date"))
    assert (until - now).total_seconds() == 3


@pytest.mark.parametrize("kind", ["drop", "stall", "redirect"])
@pytest.mark.parametrize("damage", ["truncate", "slow_body"])
def test_what_has_no_body_cannot_be_damaged(
    client: httpx.Client, server: SandboxServer, kind: FaultKind, damage: FaultKind
) -> None:
    for one in (damage, kind):
        server.faults.add(Fault(kind=one, seconds=0.01))
    if kind == "redirect":
        assert client.get("/documents").status_code == 302
    else:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            client.get("/documents")
    assert client.get("/documents").status_code == 200


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=lambda fault: "-".join(map(str, fault.values())))
def test_every_fault_can_strike_the_first_a_middle_or_the_last_page_once_or_for_ever(
    client: httpx.Client, server: SandboxServer, sound_pages: list[bytes], fault: dict[str, Any]
) -> None:
    pages = (2, 3) if fault["kind"] == "repeated_page" else (1, 2, 3)  # no page is before the first
    for page, (times, struck) in product(pages, ((1, 1), (None, 2))):
        server.faults.add(Fault(page=page, times=times, **fault))
        wrong = [number for number in (1, 2, 3) * 2 if goes_wrong(client, number, sound_pages)]
        assert wrong == [page] * struck
        server.faults.clear()


@pytest.mark.parametrize(
    "fault", [fault for fault in EVERY_FAULT if fault["kind"] not in OF_THE_LISTING], ids=lambda fault: fault["kind"]
)
def test_a_fault_of_another_path_spares_the_listing(
    client: httpx.Client, server: SandboxServer, sound_pages: list[bytes], fault: dict[str, Any]
) -> None:
    server.faults.add(Fault(path="/v3/organization", times=None, **fault))
    assert not goes_wrong(client, 1, sound_pages)
    sound = server.world.company("alma").tax_code
    try:
        status, body, is_slow = read(client, "/organization")
    except httpx.HTTPError:
        return
    assert status != 200 or sound not in body.decode() or is_slow


@pytest.mark.parametrize("kind", OF_THE_LISTING)
def test_what_only_a_listing_can_show_waits_for_one(
    client: httpx.Client, server: SandboxServer, kind: FaultKind
) -> None:
    server.faults.add(Fault(kind=kind))
    client.get("/organization")
    assert len(server.faults.armed()) == 1
    client.get("/documents")
    assert server.faults.armed() == []


def test_documents_can_change_while_they_are_served(client: httpx.Client, alma: Company) -> None:
    done = threading.Event()

    def create() -> None:
        for _ in range(200):
            alma.create(type="draft")
        done.set()

    writer = threading.Thread(target=create)
    writer.start()
    while not done.is_set():
        answer = client.get("/documents?per_page=100&start_date=2024-01-01").json()
        assert len(answer["data"]) == min(100, answer["total"])
    writer.join()
    assert alma.ledger().documents == 360
