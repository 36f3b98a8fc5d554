"""Dagster's storage in the project's own PostgreSQL. `dagster.yaml` names the classes.

Every process that opens Dagster's instance uses these classes. They find the database by the settings, as all commands
do, and start or join the embedded server if no other is set.
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

from billingo_assets import colours
from billingo_assets.dagster_support import errors as dagster_errors
from billingo_assets.dagster_support import outages as dagster_outages
from billingo_assets.dagster_support import reconnecting
from billingo_assets.errors import DatabaseUnavailableError
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.database import UPGRADE_LOCK, connecting, database_url, engine_for
from billingo_assets.warehouse.sessions import pin_sessions

SCHEMA = "dagster"

_FIND_SCHEMA = text(f"SELECT to_regnamespace('{SCHEMA}')")
_FIND_TABLES = text(f"SELECT to_regclass('{SCHEMA}.jobs')")
"""Finds the last table that Dagster creates."""


class _Unconfigured(ConfigurableClass):
    """A class that `dagster.yaml` names without any configuration."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """The entry in `dagster.yaml`."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        """Return no fields."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Make the object. Dagster calls this when it reads `dagster.yaml`."""
        return cls(inst_data=inst_data)


class WarehouseStorage(_Unconfigured, DagsterPostgresStorage):
    """Runs, events and schedules in the schema `dagster` of the database that the settings name."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        os.umask(0o077)  # Dagster's own programs open the instance before they create a socket
        dagster_errors.install()
        colours.take_out_of_dagsters_logs()
        reconnecting.install()
        dagster_outages.install()
        settings = load_settings()
        url = database_url(settings)
        try:
            self._open(url, engine_for(url, settings), inst_data)
            reconnecting.end_outage()
        except DatabaseUnavailableError as error:
            # The daemon starts a code server each minute. One that starts during an outage waits for its end.
            reconnecting.begin_outage(error)
            self._make_storages(url, inst_data, make_tables=False)

    def _open(self, url: URL, engine: Engine, inst_data: ConfigurableClassData | None) -> None:
        with connecting(engine) as connection, connection.begin():
            are_missing = connection.scalar(_FIND_TABLES) is None
            if are_missing:
                # The lock is held until the tables exist: two first commands would each create some of them.
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                _make_schema(engine)
            self._make_storages(url, inst_data, make_tables=are_missing)

    def _make_storages(self, url: URL, inst_data: ConfigurableClassData | None, *, make_tables: bool) -> None:
        DagsterPostgresStorage.__init__(
            self, dagster_url(url), should_autocreate_tables=make_tables, inst_data=inst_data
        )


class NoDefinitionsState(_Unconfigured, DefsStateStorage):
    """Keeps no state of definitions, since no definition here has one.

    Dagster's default queries the database each time the code location loads, so no code server could start during an
    outage.
    """

    def get_latest_defs_state_info(self) -> None:
        """Return None: no state was ever stored."""

    def download_state_to_path(self, key: str, version: str, path: Path) -> None:
        """Never called: there is no state."""
        raise NotImplementedError

    def upload_state_from_path(self, key: str, version: str, path: Path) -> None:
        """Never called: there is no state."""
        raise NotImplementedError

    def set_latest_version(self, key: str, version: str | None) -> None:
        """Never called: there is no state."""
        raise NotImplementedError


def _make_schema(engine: Engine) -> None:
    with connecting(engine) as connection, connection.begin():
        # Even IF NOT EXISTS needs the right to create schemas, which the role may lack if the schema exists.
        if connection.scalar(_FIND_SCHEMA) is None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


class _PinnedSessions(CreateEnginePlugin):
    """Pins the sessions of the engines that Dagster makes itself: SQLAlchemy applies the plugins that a URL names."""

    def update_url(self, url: URL) -> URL:
        """The plugin has no options."""
        return url

    def engine_created(self, engine: Engine) -> None:
        """Place Dagster's tables, and Alembic's table of its versions, in our schema."""
        pin_sessions(engine, search_path=SCHEMA)


plugins.register("billingo_sessions", __name__, _PinnedSessions.__name__)


def dagster_url(url: URL) -> str:
    """Return the URL for dagster-postgres, which works with psycopg2 only, with both plugins."""
    plugged = {"plugin": ("billingo_sessions", reconnecting.PLUGIN)}
    driver_url = url.set(drivername="postgresql+psycopg2").update_query_dict(plugged)
    return driver_url.render_as_string(hide_password=False)
