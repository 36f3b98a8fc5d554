"""What the tests of alerts share: a mail server, a web server, and settings that name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine

from billingo_assets.settings import Settings, load_settings
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.dagster_runs import defs, live_defs, sync
from billingo_assets_tests.support.past_runs import age, refuse

__all__ = ["age", "defs", "live_defs", "refuse", "sync"]


@pytest.fixture(scope="session")
def migrated_template(dagster_template: str) -> str:
    """Databases here have Dagster's tables from the start."""
    return dagster_template


@pytest.fixture(scope="module")
def tables(server_url: URL, admin: Engine, migrated_template: str) -> Iterator[Engine]:
    """One database for all tests of a module, each of which takes back what it did."""
    with fresh_database(server_url, admin, template=migrated_template) as url:
        engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
        yield engine
        engine.dispose()


Configure = Callable[..., Settings]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """`configure(alert_urls="…", heartbeat_url="…")` sets settings, and returns them all."""

    def change(**values: str) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(f"BILLINGO_{name.upper()}", value)
        load_settings.cache_clear()
        return load_settings()

    return change
