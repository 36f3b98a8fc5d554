import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from billingo_assets.sandbox import (
    Fault,
    NotLoopbackError,
    PortTakenError,
    SandboxServer,
    World,
)
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until

SCRIPT = """
from billingo_assets.sandbox import CompanySpec, World, serve
serve(World(companies=[CompanySpec("egy", "Egy Kft.", 1)]), port=0, ready=lambda s: print(s.url, flush=True))
print("stopped", flush=True)
"""


def test_a_taken_port_is_named(world: World) -> None:
    with SandboxServer(world) as first:
        port = httpx.URL(first.url).port or 0
        with (
            pytest.raises(PortTakenError, match=f"Port {port} on 127.0.0.1 is taken"),
            SandboxServer(world, port=port),
        ):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.com", ""])
def test_only_loopback_addresses_are_served(world: World, host: str) -> None:
    with pytest.raises(NotLoopbackError, match="loopback"), SandboxServer(world, host=host):
        pass


@pytest.mark.parametrize("host", ["localhost", "127.0.0.7"])
def test_every_loopback_name_works(world: World, host: str) -> None:
    with SandboxServer(world, host=host) as server:
        assert httpx.get(server.base_url).status_code == 200


def test_a_stopped_server_frees_its_port(world: World) -> None:
    with SandboxServer(world) as server:
        port = httpx.URL(server.url).port or 0
        httpx.get(server.base_url)
    with SandboxServer(world, port=port) as again:
        assert httpx.get(again.base_url).status_code == 200


def test_a_server_stops_soon_while_an_answer_is_under_way(world: World) -> None:
    key = world.company("alma").api_key
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        with SandboxServer(world) as server:
            server.faults.add(Fault(kind="slow_body", seconds=3 * PATIENCE_SECONDS))
            request = client.build_request("GET", f"{server.url}/documents", headers={"X-API-KEY": key})
            client.send(request, stream=True)
            started = time.monotonic()
        assert time.monotonic() - started < PATIENCE_SECONDS


def test_a_server_stops_soon_while_it_is_silent(world: World) -> None:
    with SandboxServer(world) as server:
        server.faults.add(Fault(kind="stall", seconds=3 * PATIENCE_SECONDS))
        waiting = socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0))
        waiting.sendall(b"GET /v3/documents HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        until(lambda: server.requests or None, what="the request")
        started = time.monotonic()
    assert time.monotonic() - started < PATIENCE_SECONDS
    waiting.close()


def test_connections_are_kept_alive(client: httpx.Client) -> None:
    sockets = set()
    for _ in range(3):
        answer = client.get("/organization")
        stream = answer.extensions["network_stream"]
        sockets.add(stream.get_extra_info("client_addr"))
    assert len(sockets) == 1


def test_the_log_tells_what_was_asked_and_not_with_which_key(server: SandboxServer, client: httpx.Client) -> None:
    client.get("/documents?page=2&per_page=10")
    httpx.get(f"{server.url}/organization", headers={"X-API-KEY": "secret"})
    first, second = server.requests
    assert first == ("GET", "/v3/documents", "page=2&per_page=10", 200, "alma")
    assert (second.status, second.company) == (401, None)
    assert client.headers["X-API-KEY"] not in str(server.requests)
    assert "secret" not in str(server.requests)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_serving_in_the_foreground_stops_cleanly_on_a_signal(signal_: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert httpx.get(f"{url}/organization").status_code == 401
    os.kill(process.pid, signal_)
    rest, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (rest, errors, process.returncode) == ("stopped\n", "", 0)


def test_ipv6_loopback_works_where_the_machine_has_it(world: World) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with SandboxServer(world, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(server.base_url).status_code == 200
