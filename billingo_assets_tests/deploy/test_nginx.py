"""The UI behind nginx, as deploy/ has it: nothing without a password, all of the UI with one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from sqlalchemy import URL, Engine
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from billingo_assets.sandbox import SandboxServer, World
from billingo_assets.settings import project_root
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.deploy.webserver import NAME, Proxy, password_line, running_nginx
from billingo_assets_tests.orchestration.services import LOCATIONS, Place, Services, running_services

SITES = project_root() / "deploy" / "nginx"
CALLED = {"Host": NAME}
ANNA = ("anna", "correct horse")
WRONG = ("anna", "wrong horse")


@pytest.fixture(scope="module")
def services(
    server_url: URL, admin: Engine, dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    world = World()
    with (
        fresh_database(server_url, admin, template=dagster_template) as url,
        SandboxServer(world) as sandbox,
    ):
        home = tmp_path_factory.mktemp("proxied") / "home"
        place = Place(url, home, world, sandbox.url, {"BILLINGO_UI_URL": f"https://{NAME}"})
        with running_services(place) as running:
            yield running
        place.engine.dispose()


@pytest.fixture(scope="module")
def proxy(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    passwords = folder / "passwords"
    passwords.write_text(password_line(*ANNA))
    with running_nginx(
        SITES / "basic-auth.conf",
        folder,
        {"127.0.0.1:3000": services.port},
        {"/etc/nginx/billingo_assets.htpasswd": str(passwords)},
    ) as running:
        yield running


def get(proxy: Proxy, path: str, auth: tuple[str, str] | None = None) -> httpx.Response:
    return httpx.get(proxy.url + path, auth=auth, verify=proxy.trust, headers=CALLED, timeout=30)


def follow(proxy: Proxy, auth: tuple[str, str] | None) -> ClientConnection:
    """Open the WebSocket by which the UI follows runs, as a browser does."""
    credentials = httpx.BasicAuth(*auth)._auth_header if auth else None
    return connect(
        f"wss://{NAME}/graphql",
        sock=socket.create_connection(("127.0.0.1", proxy.port)),
        ssl=proxy.trust,
        server_hostname="localhost",
        origin=Origin(f"https://{NAME}"),
        subprotocols=[Subprotocol("graphql-ws")],
        additional_headers={"Authorization": credentials} if credentials else None,
    )


@pytest.mark.parametrize("auth", [None, WRONG], ids=["without a password", "with a wrong one"])
@pytest.mark.parametrize("path", ["/", "/graphql", "/server_info", "/logo.png", "/runs/../graphql"])
def test_without_the_password_there_is_nothing(proxy: Proxy, path: str, auth: tuple[str, str] | None) -> None:
    answer = get(proxy, path, auth)
    assert (answer.status_code, "Dagster" in answer.text) == (401, False)


@pytest.mark.parametrize("auth", [None, WRONG], ids=["without a password", "with a wrong one"])
def test_without_the_password_there_is_no_websocket(proxy: Proxy, auth: tuple[str, str] | None) -> None:
    with pytest.raises(InvalidStatus) as refused, follow(proxy, auth):
        pass
    assert refused.value.response.status_code == 401


def test_without_the_password_nothing_can_be_started(proxy: Proxy) -> None:
    answer = httpx.post(f"{proxy.url}/graphql", json={"query": LOCATIONS}, headers=CALLED, verify=proxy.trust)
    assert answer.status_code == 401


def test_with_the_password_the_ui_is_there(proxy: Proxy) -> None:
    answer = get(proxy, "/", ANNA)
    assert (answer.status_code, "initialization-data" in answer.text) == (200, True)
    sent = {**CALLED, "Origin": f"https://{NAME}"}
    asked = httpx.post(f"{proxy.url}/graphql", json={"query": LOCATIONS}, auth=ANNA, headers=sent, verify=proxy.trust)
    (location,) = asked.json()["data"]["workspaceOrError"]["locationEntries"]
    assert (location["name"], location["loadStatus"]) == ("billingo_assets", "LOADED")


def test_with_the_password_the_websocket_answers(proxy: Proxy) -> None:
    with follow(proxy, ANNA) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=30)) == {"type": "connection_ack"}


def test_answers_tell_the_browser_to_keep_to_https_and_out_of_frames(proxy: Proxy) -> None:
    for answer in (get(proxy, "/", ANNA), get(proxy, "/")):
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.fixture
def signing_in() -> Iterator[int]:
    """A server that answers as oauth2-proxy does: 202 to who has a session, else 401."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = "_oauth2_proxy=anna" in self.headers.get("Cookie", "")
            self.send_response(202 if known else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_behind_oauth2_proxy_who_is_not_signed_in_is_sent_to_do_so(
    services: Services, signing_in: int, tmp_path: Path
) -> None:
    upstreams = {"127.0.0.1:3000": services.port, "127.0.0.1:4180": signing_in}
    with running_nginx(SITES / "oidc.conf", tmp_path, upstreams, {}) as proxy:
        stranger = get(proxy, "/runs?x=1")
        assert stranger.status_code == 302
        assert stranger.headers["Location"].endswith(f"/oauth2/start?rd=https://{NAME}/runs?x=1")
        with pytest.raises(InvalidURI, match="/oauth2/start"), follow(proxy, None):
            pass
        known = httpx.get(f"{proxy.url}/", headers={**CALLED, "Cookie": "_oauth2_proxy=anna"}, verify=proxy.trust)
        assert (known.status_code, "initialization-data" in known.text) == (200, True)
