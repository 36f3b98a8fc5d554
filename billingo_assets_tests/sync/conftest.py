"""A sandbox that serves every test of the room, and each company's books: the sandbox's side and ours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Engine

from billingo_assets.companies.registry import Company, add_company
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets.settings import Settings
from billingo_assets.warehouse.database import engine_for
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.books import Books

OpenBooks = Callable[..., Books]

_numbers = itertools.count(1)


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


@pytest.fixture(scope="session")
def shared_engine(server_url: URL, admin: Engine, migrated_template: str) -> Iterator[Engine]:
    """A database for every test that looks at companies of its own alone: to make one takes longer than most syncs."""
    with fresh_database(server_url, admin, template=migrated_template) as url:
        engine = engine_for(url, Settings(database_url=SecretStr(url.render_as_string(hide_password=False))))
        yield engine
        engine.dispose()


@pytest.fixture
def open_books(shared_engine: Engine, sandbox: SandboxServer) -> OpenBooks:
    """Open the books of a company that the sandbox serves, as one that was never synced."""

    def open_(key: str, server: SandboxServer = sandbox) -> Books:
        served = server.world.company(key)
        with shared_engine.begin() as connection:
            company = add_company(
                connection,
                key=f"{key}-{next(_numbers)}",
                name=served.name,
                tax_code=served.tax_code,
                api_key_encrypted="held by the sandbox",
            )
        return Books(shared_engine, company, served, server)

    return open_


@pytest.fixture
def one_page(open_books: OpenBooks) -> Books:
    """The books of a company of 61 documents: one page."""
    return open_books("ozon-bt")


@pytest.fixture
def three_pages(open_books: OpenBooks) -> Books:
    """The books of a company of 282 documents: three pages."""
    return open_books("it-cardigan")
