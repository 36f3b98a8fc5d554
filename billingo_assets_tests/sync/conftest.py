"""A sandbox that serves every test of the room, and each company's books: the sandbox's side and ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from billingo_assets.companies.registry import Company
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets_tests.sync.books import Books


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[SandboxServer]:
    # A server takes a moment to stop, so that one serves all tests.
    with SandboxServer(World()) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: SandboxServer) -> SandboxServer:
    running_sandbox.world.reset()
    running_sandbox.faults.clear()
    running_sandbox.requests.clear()
    return running_sandbox


@pytest.fixture
def world(sandbox: SandboxServer) -> World:
    return sandbox.world


@pytest.fixture
def all_books(engine: Engine, world: World, sandbox: SandboxServer, companies: dict[str, Company]) -> dict[str, Books]:
    return {key: Books(engine, company, world.company(key), sandbox) for key, company in companies.items()}


@pytest.fixture
def books(all_books: dict[str, Books]) -> Books:
    """The books of the company with three pages of documents."""
    return all_books["it-cardigan"]
