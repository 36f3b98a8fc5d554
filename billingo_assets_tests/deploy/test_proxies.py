"""The UI behind nginx and Caddy, as deploy/ has them: nothing without a password, all of the UI with one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import URL, Engine
from websockets.exceptions import InvalidStatus, InvalidURI

from billingo_assets.project import project_root
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.patience import PATIENCE_SECONDS
from billingo_assets_tests.support.services import LOCATIONS, Place, Services, running_services
from billingo_assets_tests.support.webserver import (
    NAME,
    Proxy,
    password_hash,
    password_line,
    running_caddy,
    running_nginx,
)

DEPLOY = project_root() / "deploy"
PLACEHOLDER = "$2a$14$REPLACE.WITH.WHAT.caddy.hash-password.PRINTS"
ANNA = ("anna", "correct horse")
WRONG = ("anna", "wrong horse")
SIGN_IN = "https://login.example.com/"

Running = Callable[..., AbstractContextManager[Proxy]]


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


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp(request.param)
    upstreams = {"127.0.0.1:3000": services.port}
    if request.param == "nginx":
        passwords = folder / "passwords"
        passwords.write_text(password_line(*ANNA))
        changes = {"/etc/nginx/billingo_assets.htpasswd": str(passwords)}
        running = running_nginx(DEPLOY / "nginx" / "basic-auth.conf", folder, upstreams, changes)
    else:
        name, password = ANNA
        changes = {f"anna {PLACEHOLDER}": f"{name} {password_hash(password)}"}
        running = running_caddy(DEPLOY / "caddy" / "Caddyfile", folder, upstreams, changes)
    with running as started:
        yield started


@pytest.mark.parametrize("auth", [None, WRONG], ids=["without a password", "with a wrong one"])
@pytest.mark.parametrize("path", ["/", "/graphql", "/server_info", "/logo.png", "/runs/../graphql"])
def test_without_the_password_there_is_nothing(proxy: Proxy, path: str, auth: tuple[str, str] | None) -> None:
    answer = proxy.ask(path, auth)
    assert (answer.status_code, "Dagster" in answer.text) == (401, False)


@pytest.mark.parametrize("auth", [None, WRONG], ids=["without a password", "with a wrong one"])
def test_without_the_password_there_is_no_websocket(proxy: Proxy, auth: tuple[str, str] | None) -> None:
    with pytest.raises(InvalidStatus) as refused, proxy.follow(auth):
        pass
    assert refused.value.response.status_code == 401


def test_without_the_password_nothing_can_be_started(proxy: Proxy) -> None:
    answer = proxy.ask("/graphql", json={"query": LOCATIONS})
    assert answer.status_code == 401


def test_with_the_password_the_ui_is_there(proxy: Proxy) -> None:
    answer = proxy.ask("/", ANNA)
    assert (answer.status_code, "initialization-data" in answer.text) == (200, True)
    asked = proxy.ask("/graphql", ANNA, json={"query": LOCATIONS}, headers={"Origin": f"https://{NAME}"})
    (location,) = asked.json()["data"]["workspaceOrError"]["locationEntries"]
    assert (location["name"], location["loadStatus"]) == ("billingo_assets", "LOADED")


def test_with_the_password_the_websocket_answers(proxy: Proxy) -> None:
    with proxy.follow(ANNA) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=PATIENCE_SECONDS)) == {"type": "connection_ack"}


def test_answers_tell_the_browser_to_keep_to_https_and_out_of_frames(proxy: Proxy) -> None:
    for answer in (proxy.ask("/", ANNA), proxy.ask("/")):
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.fixture
def signing_in() -> Iterator[int]:
    """A server that answers as oauth2-proxy does.

    Asked who is there, 202 if somebody with a session, else 401; asked to sign in, a redirect to where that is done,
    which shows where oauth2-proxy would lead back to.
    """

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path == "/oauth2/auth":
                self.send_response(202 if "_oauth2_proxy=anna" in self.headers.get("Cookie", "") else 401)
            else:
                assert asked.path == "/oauth2/start"
                back = parse_qs(asked.query).get("rd", [self.headers.get("X-Auth-Request-Redirect")])[0]
                self.send_response(302)
                self.send_header("Location", f"{SIGN_IN}?{urlencode({'back': back})}")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("running", "site"),
    [(running_nginx, "nginx/oidc.conf"), (running_caddy, "caddy/Caddyfile.oidc")],
    ids=["nginx", "caddy"],
)
def test_behind_oauth2_proxy_who_is_not_signed_in_is_sent_to_do_so(
    services: Services, signing_in: int, tmp_path: Path, running: Running, site: str
) -> None:
    upstreams = {"127.0.0.1:3000": services.port, "127.0.0.1:4180": signing_in}
    with running(DEPLOY / site, tmp_path, upstreams, {}) as proxy:
        page = "/runs?x=1&y=%26&rd=/elsewhere"
        for stranger in (proxy.ask(page), proxy.ask(page, json={"query": LOCATIONS})):
            assert stranger.status_code == 302
            assert stranger.headers["Location"] == f"{SIGN_IN}?{urlencode({'back': page})}"
            assert stranger.headers["X-Frame-Options"] == "DENY"
        with pytest.raises(InvalidURI, match=SIGN_IN), proxy.follow():
            pass
        known = proxy.ask("/", headers={"Cookie": "_oauth2_proxy=anna"})
        assert (known.status_code, "initialization-data" in known.text) == (200, True)
