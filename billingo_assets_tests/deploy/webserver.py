"""nginx with a site of deploy/, on loopback. No tests here."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billingo_assets_tests.certificates import certificate
from billingo_assets_tests.orchestration.services import until
from billingo_assets_tests.programs import Needed, apt_get, first_that_starts, installed

NO_NGINX = (
    "No nginx was found, and the tests of deploy/ need one. Install it with your system's packages"
    " (on Debian: `sudo apt-get install nginx-light`)."
)
NAME = "billingo.example.com"
"""By which the sites of deploy/ are called."""
READY_SECONDS = 20
STOP_SECONDS = 20

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


def find_nginx() -> Path:
    """Return nginx. Raises NoProgramError when there is none."""
    return first_that_starts(installed("nginx"), "-v", otherwise=NO_NGINX)


NGINX = Needed("nginx", find_nginx, apt_get("nginx-light"))


@dataclass(frozen=True)
class Proxy:
    """A running nginx: its port for https, and one who trusts its certificate."""

    port: int
    trust: ssl.SSLContext
    folder: Path

    @property
    def url(self) -> str:
        """Where it is; the name it is called by goes beside."""
        return f"https://localhost:{self.port}"


def password_line(name: str, password: str) -> str:
    """A line of a password file, salted."""
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt).digest()
    return f"{name}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n"


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
    proof = str(certificate(folder, "localhost"))
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
    process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL)

    def answers() -> bool | None:
        assert process.poll() is None, (folder / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0 or None

    try:
        until(answers, seconds=READY_SECONDS, what="nginx")
        yield Proxy(port, ssl.create_default_context(cafile=proof), folder)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _free_ports(number: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
