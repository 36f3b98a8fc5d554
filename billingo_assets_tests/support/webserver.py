"""nginx and Caddy with a site of deploy/, on loopback. No tests here."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from billingo_assets_tests.support.certificates import certificate
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.programs import Needed, NoProgramError, apt_get, first_that_starts, installed

NO_NGINX = (
    "No nginx was found, and the tests of deploy/ need one. Install it with your system's packages"
    " (on Debian: `sudo apt-get install nginx-light`)."
)
NO_CADDY = (
    "No Caddy was found, and some tests of deploy/ need one. Install it with your system's packages"
    " (on Debian: `sudo apt-get install caddy`)."
)
NAME = "billingo.example.com"
"""By which the sites of deploy/ are called."""

# What a distribution has around a site.
MAIN = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

# What stands at the head of a Caddyfile: nothing but the two ports, and those on loopback.
OPTIONS = """
{{
	admin off
	default_bind 127.0.0.1
	https_port {port}
	http_port {plain}
}}
"""


def find_nginx() -> Path:
    """Return nginx. Raises NoProgramError when there is none."""
    return first_that_starts(installed("nginx"), "-v", otherwise=NO_NGINX)


def find_caddy() -> Path:
    """Return Caddy. Raises NoProgramError when there is none."""
    return first_that_starts(installed("caddy"), "version", otherwise=NO_CADDY)


NGINX = Needed("nginx", find_nginx, apt_get("nginx-light"))
CADDY = Needed("caddy", find_caddy, apt_get("caddy"), optional=True)


def caddy() -> Path:
    """Return Caddy; without one, the test is skipped."""
    try:
        return find_caddy()
    except NoProgramError as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Proxy:
    """A running web server: its port for https, and one who trusts its certificate."""

    port: int
    trust: ssl.SSLContext

    def ask(self, path: str, auth: tuple[str, str] | None = None, **more: Any) -> httpx.Response:
        """Send a request as a browser does that was led here by the name: a POST if there is a `json`."""
        more["headers"] = {"Host": NAME, **more.get("headers", {})}
        with httpx.Client(verify=self.trust, timeout=PATIENCE_SECONDS) as client:
            return client.request(
                "POST" if "json" in more else "GET",
                f"https://127.0.0.1:{self.port}{path}",
                auth=auth,
                extensions={"sni_hostname": NAME},
                **more,
            )

    def follow(self, auth: tuple[str, str] | None = None) -> ClientConnection:
        """Open the WebSocket by which the UI follows runs, as a browser does."""
        credentials = httpx.BasicAuth(*auth)._auth_header if auth else None
        return connect(
            f"wss://{NAME}/graphql",
            sock=socket.create_connection(("127.0.0.1", self.port)),
            ssl=self.trust,
            origin=Origin(f"https://{NAME}"),
            subprotocols=[Subprotocol("graphql-ws")],
            additional_headers={"Authorization": credentials} if credentials else None,
            open_timeout=PATIENCE_SECONDS,
        )


def password_line(name: str, password: str) -> str:
    """A line of a password file, salted."""
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt).digest()
    return f"{name}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n"


def password_hash(password: str) -> str:
    """What stands beside a name in a Caddyfile."""
    command = [caddy(), "hash-password", "--plaintext", password]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def replaced(site: str, changes: Mapping[str, str]) -> str:
    """A site with what its head says to change, and the ports, changed. Each must be there."""
    for old, new in changes.items():
        assert old in site, old
        site = site.replace(old, new)
    return site


@contextmanager
def running_nginx(
    site: Path, folder: Path, upstreams: Mapping[str, int], changes: Mapping[str, str]
) -> Iterator[Proxy]:
    """Run nginx with a site of deploy/ before the ports of `upstreams`, until the block ends."""
    proof = str(certificate(folder, NAME))
    port, plain = _free_ports(2)
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "/etc/ssl/certs/billingo.example.com.pem": proof,
        "/etc/ssl/private/billingo.example.com.key": proof,
        **{f"server {old};": f"server 127.0.0.1:{new};" for old, new in upstreams.items()},
        **changes,
    }
    (folder / "site.conf").write_text(replaced(site.read_text(encoding="utf-8"), changes), encoding="utf-8")
    user = "user root;" if os.geteuid() == 0 else ""  # or its workers may not enter the folder
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user), encoding="utf-8")
    command = [find_nginx(), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    with _running([*command, "-g", "daemon off;"], folder, port):
        yield Proxy(port, ssl.create_default_context(cafile=proof))


@contextmanager
def running_caddy(
    site: Path, folder: Path, upstreams: Mapping[str, int], changes: Mapping[str, str]
) -> Iterator[Proxy]:
    """Run Caddy with a site of deploy/ before the ports of `upstreams`, until the block ends."""
    program = caddy()
    proof = str(certificate(folder, NAME))
    port, plain = _free_ports(2)
    head = OPTIONS.format(port=port, plain=plain)
    changes = {
        f"{NAME} {{": f"{head}\n{NAME} {{\n\ttls {proof} {proof}",
        **{f"{old} {{": f"127.0.0.1:{new} {{" for old, new in upstreams.items()},
        **changes,
    }
    config = folder / "Caddyfile"
    config.write_text(replaced(site.read_text(encoding="utf-8"), changes), encoding="utf-8")
    with _running([program, "run", "--adapter", "caddyfile", "--config", config], folder, port):
        yield Proxy(port, ssl.create_default_context(cafile=proof))


def in_folder(folder: Path) -> dict[str, str]:
    """An environment in which Caddy keeps its files in a folder."""
    return {**os.environ, "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}


@contextmanager
def _running(command: Sequence[str | Path], folder: Path, port: int) -> Iterator[None]:
    log = folder / "error.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdout=errors, stderr=errors, env=in_folder(folder))

    def answers() -> bool | None:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0 or None

    try:
        until(answers, what=str(command[0]))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _free_ports(number: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
