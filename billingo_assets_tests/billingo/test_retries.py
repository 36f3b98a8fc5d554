import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import (
    BillingoError,
    CredentialsError,
    InvalidRequestError,
    MalformedAnswerError,
    RateLimitError,
    RedirectError,
    SubscriptionError,
    UnavailableError,
)
from billingo_assets.sandbox import Company, Fault, Quirks, SandboxServer
from billingo_assets_tests.billingo.conftest import Connect, Listener
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

TRANSIENT = [
    pytest.param({"kind": "status", "status": 429}, RateLimitError, id="429"),
    pytest.param({"kind": "status", "status": 500}, UnavailableError, id="500"),
    pytest.param({"kind": "status", "status": 502}, UnavailableError, id="502 in HTML"),
    pytest.param({"kind": "status", "status": 503}, UnavailableError, id="503"),
    pytest.param({"kind": "drop"}, MalformedAnswerError, id="dropped connection"),
    pytest.param({"kind": "truncate"}, MalformedAnswerError, id="truncated body"),
    pytest.param({"kind": "not_json"}, MalformedAnswerError, id="200 in HTML"),
    pytest.param({"kind": "error_in_200"}, MalformedAnswerError, id="error in a 200"),
]
PERMANENT = [
    pytest.param({"kind": "status", "status": 400}, InvalidRequestError, id="400"),
    pytest.param({"kind": "status", "status": 401}, CredentialsError, id="401"),
    pytest.param({"kind": "status", "status": 402}, SubscriptionError, id="402"),
    pytest.param({"kind": "status", "status": 403}, CredentialsError, id="403"),
    pytest.param({"kind": "status", "status": 404}, InvalidRequestError, id="404"),
    pytest.param({"kind": "status", "status": 422}, InvalidRequestError, id="422"),
    pytest.param({"kind": "redirect"}, RedirectError, id="redirect"),
]


@pytest.mark.parametrize(("fault", "kind"), TRANSIENT)
def test_what_may_pass_is_tried_until_it_has(
    sandbox: SandboxServer, client: BillingoClient, company: Company, fault: dict[str, Any], kind: object
) -> None:
    sandbox.faults.add(Fault(times=2, **fault))
    assert client.records("/documents", page=1).total == len(company.records)
    assert (len(sandbox.requests), client.calls) == (3, 3)


@pytest.mark.parametrize(("fault", "kind"), TRANSIENT)
def test_tries_come_to_an_end_with_the_error_itself(
    sandbox: SandboxServer, company: Company, connect: Connect, fault: dict[str, Any], kind: type[BillingoError]
) -> None:
    sandbox.faults.add(Fault(times=None, **fault))
    with pytest.raises(kind):
        connect(sandbox.url, company.api_key, attempts=4).records("/documents", page=1)
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize(("fault", "kind"), PERMANENT)
def test_what_will_not_pass_is_tried_once(
    sandbox: SandboxServer, client: BillingoClient, fault: dict[str, Any], kind: type[BillingoError]
) -> None:
    sandbox.faults.add(Fault(**fault))
    with pytest.raises(kind):
        client.records("/documents", page=1)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("retry_after", ["none", "zero", "nonsense"])
def test_a_rate_limit_without_a_wait_that_makes_sense_has_ours(
    sandbox: SandboxServer, company: Company, connect: Connect, retry_after: Any
) -> None:
    sandbox.faults.add(Fault(kind="status", status=429, retry_after=retry_after))
    started = time.monotonic()
    connect(sandbox.url, company.api_key, rate_limit_seconds=0.3).identity()
    assert 0.3 <= time.monotonic() - started < 10


def test_a_rate_limit_holds_the_other_threads_too(sandbox: SandboxServer, company: Company, connect: Connect) -> None:
    sandbox.faults.add(Fault(kind="status", status=429, times=None, path="/v3/organization"))
    client = connect(sandbox.url, company.api_key, rate_limit_seconds=20, total_seconds=30)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.identity)
        with pytest.raises(TimeoutError):
            first.result(timeout=0.3)
        second = threads.submit(client.count, "/documents")
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        client.close()
    assert [request.path for request in sandbox.requests] == ["/v3/organization"]


def test_a_wait_that_is_not_waited_for_holds_nobody(sandbox: SandboxServer, company: Company, connect: Connect) -> None:
    sandbox.faults.add(Fault(kind="status", status=429, retry_after=3600))
    client = connect(sandbox.url, company.api_key)
    with pytest.raises(RateLimitError):
        client.identity()
    with ThreadPoolExecutor(1) as threads, client:
        assert threads.submit(client.identity).result(timeout=PATIENCE_SECONDS).tax_code == company.tax_code


def test_tries_are_further_and_further_apart(
    listener: Listener, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The jitter shortens each pause by chance; here it does not.
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    moments: list[float] = []
    listener.status, listener.before_answer = 503, lambda: moments.append(time.monotonic())
    with pytest.raises(UnavailableError):
        connect(listener.url, attempts=6, first_backoff_seconds=0.05).identity()
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    # What else takes time on a busy machine only makes a pause longer.
    assert all(pause > 0.95 * doubled for pause, doubled in zip(pauses, (0.05, 0.1, 0.2, 0.4, 0.8), strict=True))
    assert pauses[0] < pauses[-1]


def test_seconds_to_wait_are_waited(sandbox: SandboxServer, client: BillingoClient) -> None:
    sandbox.faults.add(Fault(kind="status", status=429, retry_after=1))
    started = time.monotonic()
    client.identity()
    assert 1 <= time.monotonic() - started < 15


def test_a_date_to_wait_for_is_waited_for_by_the_clock_of_the_server(
    sandbox: SandboxServer, client: BillingoClient
) -> None:
    sandbox.faults.quirks = Quirks(clock_skew_seconds=-3600)
    sandbox.faults.add(Fault(kind="status", status=429, retry_after="http-date", seconds=1))
    started = time.monotonic()
    client.identity()
    assert 1 <= time.monotonic() - started < 15


def test_a_wait_longer_than_the_time_left_ends_the_tries_at_once(
    sandbox: SandboxServer, company: Company, connect: Connect
) -> None:
    sandbox.faults.add(Fault(kind="status", status=429, retry_after=31))
    started = time.monotonic()
    with pytest.raises(RateLimitError):
        connect(sandbox.url, company.api_key, total_seconds=30).identity()
    assert (len(sandbox.requests), time.monotonic() - started < 15) == (1, True)


def test_an_answer_that_does_not_begin_in_time_is_given_up(
    sandbox: SandboxServer, company: Company, connect: Connect
) -> None:
    sandbox.faults.latency_seconds = 0.5
    with pytest.raises(UnavailableError, match="did not answer in time"):
        connect(sandbox.url, company.api_key, attempts=1, read_seconds=0.1).identity()


def test_a_body_that_falls_silent_is_given_up(sandbox: SandboxServer, company: Company, connect: Connect) -> None:
    sandbox.faults.add(Fault(kind="slow_body", seconds=4))
    with pytest.raises(UnavailableError, match="did not answer in time"):
        connect(sandbox.url, company.api_key, attempts=1, read_seconds=0.1).identity()


def test_a_body_that_drips_on_beyond_the_total_time_is_given_up(
    sandbox: SandboxServer, company: Company, connect: Connect
) -> None:
    sandbox.faults.add(Fault(kind="slow_body", seconds=2, times=None))
    client = connect(sandbox.url, company.api_key, read_seconds=5, total_seconds=0.3)
    with pytest.raises(UnavailableError, match="did not answer in time"):
        client.identity()
    assert client.calls == 1


def test_headers_that_drip_on_beyond_the_total_time_are_given_up(listener: Listener, connect: Connect) -> None:
    listener.headers |= {f"X-{number}": "drop by drop" for number in range(300)}
    listener.before_header = lambda: time.sleep(0.1)
    client = connect(listener.url, read_seconds=5, total_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="did not answer in time"):
        client.identity()
    assert (client.calls, time.monotonic() - started < 15) == (1, True)


def test_a_try_that_falls_silent_has_only_what_the_tries_before_it_left(
    sandbox: SandboxServer, company: Company, connect: Connect
) -> None:
    sandbox.faults.add(Fault(kind="stall", seconds=1.5))
    sandbox.faults.add(Fault(kind="stall", seconds=20))
    client = connect(sandbox.url, company.api_key, total_seconds=2)
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="did not answer in time"):
        client.identity()
    assert client.calls == 2
    assert 2 <= time.monotonic() - started < 15


def test_waiting_for_a_turn_between_tries_takes_no_time_from_them(listener: Listener, connect: Connect) -> None:
    client = connect(listener.url, total_seconds=1)

    def refuse_twice_and_hold() -> None:
        listener.status = 503 if client.calls < 3 else 200
        client._pacer.hold(0.7)

    listener.before_answer = refuse_twice_and_hold
    client.identity()
    assert client.calls == 3


def test_waiting_for_ones_turn_costs_no_try(sandbox: SandboxServer, company: Company, connect: Connect) -> None:
    client = connect(sandbox.url, company.api_key, total_seconds=0.5, first_backoff_seconds=0.001)
    client._pacer.hold(0.8)
    sandbox.faults.add(Fault(kind="status", status=503))
    assert client.identity().tax_code == company.tax_code
    assert client.calls == 2
