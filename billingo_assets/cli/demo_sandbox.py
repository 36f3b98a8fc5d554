"""Serves the sandbox for as long as a command needs it, when companies of the demo are among those it works on."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from billingo_assets.companies.registry import Company

DEMO_PORT = 8765
HOST = "127.0.0.1"


def demo_companies(companies: Iterable[Company]) -> list[Company]:
    """Those that the demo registered: they have an address of their own, the sandbox's."""
    return [company for company in companies if company.api_url is not None]


def sandbox_port(company: Company) -> int:
    """The port at which the sandbox answers for a company of the demo."""
    return urlsplit(company.api_url or "").port or DEMO_PORT


def is_listening(port: int) -> bool:
    """Whether something listens on the loopback port: the sandbox of another command, as a rule."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


@contextmanager
def serving_demo_companies(companies: Iterable[Company]) -> Iterator[None]:
    """Serve the sandbox while the block runs if one of the companies needs it and nobody serves it already."""
    demo = demo_companies(companies)
    if not demo or is_listening(sandbox_port(demo[0])):
        yield
        return
    from billingo_assets.sandbox.server import SandboxServer
    from billingo_assets.sandbox.world import World

    with SandboxServer(World(), host=HOST, port=sandbox_port(demo[0])):
        yield
