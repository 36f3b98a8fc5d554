"""A small world behind a real server, and a client that holds one company's key."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from billingo_assets.sandbox import Company, CompanySpec, SandboxServer, World
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

NOW = 1_783_000_000.0  # 2 July 2026, 15:46:40 in Budapest
SINCE = "2026-07-02 15:46:40"  # the same as local time
COMPANIES = (CompanySpec("alma", "Alma Kft.", 160), CompanySpec("korte", "Körte Bt.", 45))


class Clock:
    """A clock the tests move."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def clock_of_the_world() -> Clock:
    return Clock(NOW)


@pytest.fixture(scope="session")
def running_server(clock_of_the_world: Clock) -> Iterator[SandboxServer]:
    # A server takes a moment to stop, so that one serves all tests.
    with SandboxServer(World(seed=1, companies=COMPANIES, clock=clock_of_the_world)) as running:
        yield running


@pytest.fixture
def clock(clock_of_the_world: Clock) -> Clock:
    clock_of_the_world.now = NOW
    return clock_of_the_world


@pytest.fixture
def server(running_server: SandboxServer, clock: Clock) -> SandboxServer:
    running_server.world.reset()
    running_server.faults.clear()
    running_server.requests.clear()
    return running_server


@pytest.fixture
def world(server: SandboxServer) -> World:
    return server.world


@pytest.fixture
def alma(world: World) -> Company:
    return world.company("alma")


@pytest.fixture
def client(server: SandboxServer, alma: Company) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"X-API-KEY": alma.api_key}, timeout=PATIENCE_SECONDS) as opened:
        yield opened


def every_document(client: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    """Read all pages of a listing."""
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        answer = client.get("/documents", params={"per_page": 100, "page": page, **parameters}).json()
        found += answer["data"]
        if page >= answer["last_page"]:
            return found
        page += 1


def first(company: Company, type_: str, **fields: Any) -> int:
    """Find the newest document of a type."""
    return next(
        int(document["id"])
        for document in company.documents()
        if document["type"] == type_ and all(document.get(key) == value for key, value in fields.items())
    )


def parts_of(number: str) -> tuple[str, int, int]:
    """Take a document number apart: what stands before the year, the year, the running number."""
    before, year, sequence = re.fullmatch(r"(.*?)(\d{4})-(\d+)", number).groups()  # type: ignore[union-attr]
    return before, int(year), int(sequence)


def modified(client: httpx.Client, since: str = SINCE) -> list[int]:
    """Read which documents were modified since the clock's start, or another time."""
    return [document["id"] for document in every_document(client, last_modified_date=since)]
