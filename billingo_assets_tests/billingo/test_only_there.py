"""The API key reaches the configured address and no other: what leads elsewhere is not followed."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from billingo_assets.billingo import client as client_module
from billingo_assets.billingo.errors import CertificateError, RedirectError
from billingo_assets_tests.billingo.conftest import KEY, Connect, Listener, listening
from billingo_assets_tests.support.certificates import certificate

CERTIFICATE_VARIABLES = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.fixture
def elsewhere() -> Iterator[Listener]:
    """Where the key is not to go."""
    with listening() as another:
        yield another


def over_tls(listener: Listener, certificate: Path) -> str:
    """Have the listener speak TLS with a certificate; returns its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    return listener.url.replace("http:", "https:")


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lets a test name the authorities that come with certifi."""
    client_module._tls_context.cache_clear()
    yield monkeypatch
    client_module._tls_context.cache_clear()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_kind_of_redirect_is_followed(
    listener: Listener, elsewhere: Listener, connect: Connect, status: int
) -> None:
    listener.status, listener.headers["Location"] = status, f"{elsewhere.url}/organization"
    with pytest.raises(RedirectError, match=f"a redirect \\({status}\\), which is not followed"):
        connect(listener.url).identity()
    assert (len(listener.received), elsewhere.received) == (1, [])


@pytest.mark.parametrize("location", ["https://127.0.0.1:{port}/v3", "//localhost:{port}/v3", "/v3/elsewhere"])
def test_a_redirect_to_another_scheme_host_or_path_is_not_followed(
    listener: Listener, connect: Connect, location: str
) -> None:
    listener.status, listener.headers["Location"] = 307, location.format(port=listener.server_port)
    with pytest.raises(RedirectError):
        connect(listener.url).identity()
    assert len(listener.received) == 1


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_for_https_that_the_environment_names_is_not_used(
    listener: Listener,
    elsewhere: Listener,
    connect: Connect,
    tmp_path: Path,
    trusting: pytest.MonkeyPatch,
    variable: str,
) -> None:
    proved = certificate(tmp_path, "127.0.0.1")
    trusting.setattr(certifi, "where", lambda: str(proved))
    for name in ("NO_PROXY", "no_proxy"):
        trusting.delenv(name, raising=False)
    trusting.setenv(variable, elsewhere.url)
    connect(over_tls(listener, proved)).identity()
    assert (len(listener.received), elsewhere.received) == (1, [])


def test_a_password_that_netrc_has_for_the_host_is_not_sent(
    listener: Listener, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password of-another-program\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    connect(listener.url).identity()
    (received,) = listener.received
    assert received.headers["X-API-KEY"] == KEY
    assert "Authorization" not in received.headers


def test_a_server_with_a_certificate_that_proves_it_gets_the_key(
    listener: Listener, connect: Connect, tmp_path: Path, trusting: pytest.MonkeyPatch
) -> None:
    proved = certificate(tmp_path, "127.0.0.1")
    trusting.setattr(certifi, "where", lambda: str(proved))
    connect(over_tls(listener, proved)).identity()
    assert listener.received[0].headers["X-API-KEY"] == KEY


def test_the_keys_of_a_connection_are_written_to_no_file_that_the_environment_names(
    listener: Listener, connect: Connect, tmp_path: Path, trusting: pytest.MonkeyPatch
) -> None:
    proved = certificate(tmp_path, "127.0.0.1")
    trusting.setattr(certifi, "where", lambda: str(proved))
    trusting.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    connect(over_tls(listener, proved)).identity()
    assert len(listener.received) == 1
    assert not (tmp_path / "keys").exists()


def test_a_certificate_of_another_host_is_refused_in_words(
    listener: Listener, connect: Connect, tmp_path: Path, trusting: pytest.MonkeyPatch
) -> None:
    proved = certificate(tmp_path, "api.example.com")
    trusting.setattr(certifi, "where", lambda: str(proved))
    with pytest.raises(CertificateError, match=r"not valid for '127\.0\.0\.1'") as caught:
        connect(over_tls(listener, proved)).identity()
    assert "has a wrong certificate" in str(caught.value)
    assert "The API key was not sent" in str(caught.value)
    assert listener.received == []


@pytest.mark.parametrize("variable", ["", *CERTIFICATE_VARIABLES, "PYTHONHTTPSVERIFY"])
def test_a_certificate_that_nobody_vouches_for_is_refused_whatever_the_environment_says(
    listener: Listener, connect: Connect, tmp_path: Path, trusting: pytest.MonkeyPatch, variable: str
) -> None:
    own = certificate(tmp_path, "127.0.0.1")
    if variable:
        values = {"SSL_CERT_DIR": str(tmp_path), "PYTHONHTTPSVERIFY": "0"}
        trusting.setenv(variable, values.get(variable, str(own)))
    client = connect(over_tls(listener, own))
    with pytest.raises(CertificateError, match="has a wrong certificate: self-signed certificate"):
        client.identity()
    # To ask again would be no use, and nothing was sent.
    assert (client.calls, listener.received) == (1, [])
