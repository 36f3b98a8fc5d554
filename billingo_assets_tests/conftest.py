"""What the tests share: a real PostgreSQL with a fresh database for each test, a sandbox on a port, the settings.

The server is the embedded one, started once; each database is a copy of one that was migrated once.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import hypothesis
import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Engine, NullPool, create_engine, text

from billingo_assets import redaction
from billingo_assets.billingo.pacing import pacer_for
from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.instance import add_partitions, open_instance
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets.settings import Settings, load_settings
from billingo_assets.warehouse.database import open_database, upgrade_database
from billingo_assets_tests.support.embedded_users import throwaway_server
from billingo_assets_tests.support.sinks import MailSink, WebSink, mail_sink, web_sink

SLOW = (
    "services",
    "cli",
    "sync/test_any_history.py",
    "warehouse/test_roles.py",
    "warehouse/test_sessions.py",
    "ui",
    "defs",
    "health",
    "deploy",
    "embedded_postgres",
    "sync/test_clocks.py",
    "sync/test_database_faults.py",
    "sync/test_http_faults.py",
    "sync/test_killed.py",
    "sync/test_lasting_differences.py",
    "sync/test_lying_pages.py",
    "sync/test_moving_listings.py",
    "sync/test_page_sizes.py",
    "sync/test_two_processes.py",
    "sandbox",
    "companies/test_export_formats.py",
    "warehouse/test_dump.py",
    "warehouse/test_masked.py",
    "warehouse/test_poolers.py",
    "warehouse/test_standby.py",
    "dagster_support",
    "alerts",
    "fuzz",
    "test_wheel.py",
)
"""The rooms and modules that take the longest, which `make quick` leaves out: programs, whole runs, many faults."""

_numbers = itertools.count(1)

# A script that runs the tests in the background has them ignore Ctrl-C, and with them every program they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with it: a long module that starts last keeps the others' processes waiting."""
    for item in items:
        if _place(item) < len(SLOW):
            item.add_marker("slow")
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Which entry of SLOW a test belongs to; what is not slow comes after them all."""
    path = item.path.relative_to(Path(__file__).parent)
    names = {path.as_posix(), path.parts[0]}
    return next((place for place, slow in enumerate(SLOW) if slow in names), len(SLOW))


def pytest_collection_finish() -> None:
    """Keep the garbage collector off all that was imported: it took a tenth of the tests' CPU."""
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak",
        action="store_true",
        help="run the tests of many random histories, moments and faults at full size: ten times as many, or more",
    )
    parser.addoption("--fuzz", type=int, default=0, help="try about so many inputs at random, other ones each time")
    parser.addoption("--screenshots", action="store_true", help="have the tests of the UI take the README's pictures")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the same examples in each run of the tests; new ones are for the soak to find."""
    hypothesis.settings.register_profile("repeatable", derandomize=True)
    hypothesis.settings.load_profile("default" if config.getoption("--soak") else "repeatable")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to run at full size what draws its cases at random."""
    return bool(request.config.getoption("--soak", default=False))


@pytest.fixture
def mail() -> Iterator[MailSink]:
    """A mail server on loopback."""
    with mail_sink() as sink:
        yield sink


@pytest.fixture
def web() -> Iterator[WebSink]:
    """A web server on loopback."""
    with web_sink() as sink:
        yield sink


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test starts from the defaults, in a home of its own."""
    for name in [name for name in os.environ if name.startswith("BILLINGO_")] + ["DAGSTER_HOME"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BILLINGO_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    pacer_for.cache_clear()
    os.umask(0o022)  # which opening Dagster's storage changes
    yield
    load_settings.cache_clear()
    redaction.forget()  # what is a secret to one test is a word to others
    # Written by the code under test, so nothing else takes it back.
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture(scope="session")
def server_url() -> Iterator[URL]:
    """The PostgreSQL of the whole test run."""
    with throwaway_server() as url:
        yield url


@pytest.fixture(scope="session")
def admin(server_url: URL) -> Iterator[Engine]:
    """An engine to create and drop databases with, on a server that need not survive the machine's crash."""
    engine = create_engine(
        server_url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def migrated_template(server_url: URL, admin: Engine) -> str:
    """The name of a database with all migrations applied and nothing in it."""
    name = "migrated"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = server_url.set(database=name).render_as_string(hide_password=False)
    upgrade_database(Settings(database_url=SecretStr(url)))
    return name


@pytest.fixture(scope="session")
def dagster_template(server_url: URL, admin: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database that has Dagster's tables as well: to make them takes longer than most tests."""
    name = "migrated_with_dagster"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BILLINGO_DATABASE_URL", server_url.set(database=name).render_as_string(False))
        environment.setenv("BILLINGO_HOME", str(tmp_path_factory.mktemp("template")))
        environment.delenv("DAGSTER_HOME", raising=False)
        load_settings.cache_clear()
        upgrade_database(load_settings())
        open_instance(load_settings()).dispose()
        load_settings.cache_clear()
    return name


@pytest.fixture
def empty_database(server_url: URL, admin: Engine) -> Iterator[URL]:
    """A fresh database without any table."""
    with fresh_database(server_url, admin, template="template1") as url:
        yield url


@pytest.fixture
def database(server_url: URL, admin: Engine, migrated_template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[URL]:
    """A fresh database with the project's tables, which the settings name."""
    with fresh_database(server_url, admin, template=migrated_template) as url:
        monkeypatch.setenv("BILLINGO_DATABASE_URL", url.render_as_string(hide_password=False))
        load_settings.cache_clear()
        yield url


@contextmanager
def fresh_database(server_url: URL, admin: Engine, *, template: str) -> Iterator[URL]:
    """A database of one's own for as long as the block runs, copied from `template`."""
    url = server_url.set(database=f"test_{next(_numbers)}")
    with admin.connect() as connection:
        # The pool that migrated the template may still hold a connection, which a copy does not allow.
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": template}
        )
        # A quarter of the CPU of the default: the server writes a checkpoint instead of each page to its log.
        connection.execute(text(f"CREATE DATABASE {url.database} TEMPLATE {template} STRATEGY file_copy"))
        yield url
        connection.execute(text(f"DROP DATABASE {url.database} WITH (FORCE)"))


@pytest.fixture
def world() -> World:
    """The sandbox's companies; mutate them at will."""
    return World()


@pytest.fixture
def sandbox(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """The sandbox on a port, which the settings name as the API."""
    with SandboxServer(world) as server:
        monkeypatch.setenv("BILLINGO_API_URL", server.url)
        monkeypatch.setenv("BILLINGO_REQUESTS_PER_MINUTE", "0")
        load_settings.cache_clear()
        yield server


@pytest.fixture
def engine(database: URL) -> Engine:
    """The project's own engine on the test's database."""
    return open_database(load_settings())


@pytest.fixture
def companies(engine: Engine, world: World, sandbox: SandboxServer) -> dict[str, Company]:
    """The sandbox's companies, registered with their keys."""
    settings = load_settings()
    with engine.begin() as connection:
        keyring = registry.keyring_for(connection, settings)
        return {
            invented.key: registry.add_company(
                connection,
                key=invented.key,
                name=invented.name,
                tax_code=invented.tax_code,
                api_key_encrypted=keyring.encrypt(SecretStr(invented.api_key)),
            )
            for invented in world.companies
        }


@pytest.fixture
def instance(companies: dict[str, Company]) -> Iterator[dg.DagsterInstance]:
    """A real Dagster instance in the test's database, with a partition for each company."""
    with open_instance(load_settings()) as opened:
        add_partitions(opened, companies)
        yield opened
