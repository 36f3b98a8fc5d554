"""Dagster's storage, placed in the project's own PostgreSQL by `dagster.yaml`.

Every process that opens the instance finds the database here as everything else does, and so starts or joins the
embedded server where that is the one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import URL, CreateEnginePlugin, Engine, text
from sqlalchemy.dialects import plugins

from billingo_assets import colours, dagster_errors, reconnecting
from billingo_assets.errors import DatabaseUnavailableError
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.database import UPGRADE_LOCK, connecting, database_url, engine_for
from billingo_assets.warehouse.sessions import pin_sessions

SCHEMA = "dagster"

_FIND_SCHEMA = text(f"SELECT to_regnamespace('{SCHEMA}')")
_FIND_TABLES = text(f"SELECT to_regclass('{SCHEMA}.jobs')")
"""Finds the last table that Dagster makes."""


class WarehouseStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the schema `dagster` of the database that the settings name."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        os.umask(0o077)  # Dagster's own programs, started by hand, come by here before they make a socket
        dagster_errors.install()
        colours.take_out_of_dagsters_logs()
        reconnecting.install()
        settings = load_settings()
        url = database_url(settings)
        try:
            self._open(url, engine_for(url, settings), inst_data)
            reconnecting.end_outage()
        except DatabaseUnavailableError as error:
            # Services that start during a restart of PostgreSQL, as a code server does each minute, wait for its end.
            reconnecting.begin_outage(error)
            super().__init__(postgres_url=dagster_url(url), should_autocreate_tables=False, inst_data=inst_data)

    def _open(self, url: URL, engine: Engine, inst_data: ConfigurableClassData | None) -> None:
        with connecting(engine) as connection, connection.begin():
            are_missing = connection.scalar(_FIND_TABLES) is None
            if are_missing:
                # Held until they are made: two first commands at once would each make some.
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                _make_schema(engine)
            super().__init__(postgres_url=dagster_url(url), should_autocreate_tables=are_missing, inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        """Nothing to configure here."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Called by Dagster when it reads `dagster.yaml`."""
        return cls(inst_data=inst_data)


class NoDefinitionsState(DefsStateStorage, ConfigurableClass):
    """The state of definitions that are made of one, of which there are none here.

    Dagster's own asks the database whenever the code location loads: no code server could start during a restart.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What `dagster.yaml` names."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        """Nothing to configure here."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Called by Dagster when it reads `dagster.yaml`."""
        return cls(inst_data=inst_data)

    def get_latest_defs_state_info(self) -> None:
        """None is known."""

    def download_state_to_path(self, key: str, version: str, path: Path) -> None:
        """Never called."""
        raise NotImplementedError

    def upload_state_from_path(self, key: str, version: str, path: Path) -> None:
        """Never called."""
        raise NotImplementedError

    def set_latest_version(self, key: str, version: str | None) -> None:
        """Never called."""
        raise NotImplementedError


def _make_schema(engine: Engine) -> None:
    with connecting(engine) as connection, connection.begin():
        # Asked first: to create a schema takes a right that the role need not have once it is there.
        if connection.scalar(_FIND_SCHEMA) is None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


class _PinnedSessions(CreateEnginePlugin):
    """Dagster makes its own engines, of which a plugin named in their URL is told."""

    def update_url(self, url: URL) -> URL:
        """The URL holds nothing for us."""
        return url

    def engine_created(self, engine: Engine) -> None:
        """Have its tables, Alembic's own too, in our schema."""
        pin_sessions(engine, search_path=SCHEMA)


plugins.register("billingo_sessions", __name__, _PinnedSessions.__name__)


def dagster_url(url: URL) -> str:
    """dagster-postgres speaks psycopg2 alone."""
    plugged = {"plugin": ("billingo_sessions", reconnecting.PLUGIN)}
    driver_url = url.set(drivername="postgresql+psycopg2").update_query_dict(plugged)
    return driver_url.render_as_string(hide_password=False)
