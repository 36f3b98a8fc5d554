"""Where the API key does not go."""

import logging
import traceback

import pytest

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import BillingoError, CredentialsError, RedirectError
from billingo_assets.sandbox import Company, Fault, SandboxServer
from billingo_assets.sandbox.faults import FaultKind
from billingo_assets_tests.billingo.conftest import KEY, Connect, Listener


def test_a_redirect_to_another_host_is_not_followed(
    sandbox: SandboxServer, client: BillingoClient, listener: Listener
) -> None:
    sandbox.faults.add(Fault(kind="redirect", location=f"{listener.url}/documents"))
    with pytest.raises(RedirectError):
        client.records("/documents", page=1)
    assert listener.received == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_the_environment_names_is_not_used(
    sandbox: SandboxServer,
    company: Company,
    connect: Connect,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, listener.url)
    connect(sandbox.url, company.api_key).identity()
    assert (len(sandbox.requests), listener.received) == (1, [])


@pytest.mark.parametrize("kind", ["status", "drop", "truncate", "not_json", "error_in_200", "redirect"])
def test_the_key_is_in_no_error_and_no_log(
    sandbox: SandboxServer,
    company: Company,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    kind: FaultKind,
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.faults.add(Fault(kind=kind, times=None))
    with pytest.raises(BillingoError) as caught:
        connect(sandbox.url, company.api_key, attempts=2).records("/documents", page=1)
    told = [repr(caught.value), *traceback.format_exception(caught.value), caplog.text]
    assert caplog.text
    assert company.api_key not in "".join(told)


def test_the_key_is_not_told_of_a_server_that_is_not_there(connect: Connect, closed_url: str) -> None:
    with pytest.raises(BillingoError) as caught:
        connect(closed_url, attempts=1).identity()
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("before", [0, 180, 195])
def test_an_api_that_repeats_the_key_in_its_refusal_is_told_without_any_part_of_it(
    listener: Listener, connect: Connect, before: int
) -> None:
    listener.status, listener.body = 401, b'{"error": {"message": "%s%s"}}' % (b"." * before, KEY.encode())
    with pytest.raises(CredentialsError) as caught:
        connect(listener.url).identity()
    assert KEY[:4] not in str(caught.value)


def test_the_key_is_in_no_repr(client: BillingoClient, company: Company) -> None:
    assert company.api_key not in f"{client!r} {vars(client)!r}"


@pytest.mark.parametrize("key", ["", "two\nlines", "with space", "ékezetes", "\x00", "trailing\n"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(connect: Connect, listener: Listener, key: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        connect(listener.url, key)
    assert not key or key not in "".join(traceback.format_exception(caught.value, chain=True))
