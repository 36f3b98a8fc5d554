"""Dagster's instance and the company partitions in it, for the command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from textwrap import shorten

import dagster as dg

from billingo_assets.dagster_support import reconnecting
from billingo_assets.errors import BillingoAssetsError, ConfigurationError, DatabaseUnavailableError
from billingo_assets.home import make_private, require_private
from billingo_assets.names import COMPANIES
from billingo_assets.project import shipped_file
from billingo_assets.run_history.runs import kept_partitions
from billingo_assets.settings import Settings

STATEMENT_TIMEOUT_MS = 60_000
POOL_RECYCLE_SECONDS = 3_600
POOL_OVERFLOW = 20

UNSET_HOME = "Without DAGSTER_HOME, a folder in BILLINGO_HOME is used."
SAID_LENGTH = 300

_NO_LOG = logging.NullHandler()
"""For the root logger: dagster-postgres logs each of its retries, which is not for people."""


def prepare_dagster_home(settings: Settings) -> Path:
    """Return the folder for DAGSTER_HOME, with the project's `dagster.yaml` in it. An existing setting is kept.

    Raises:
        ConfigurationError: the folder cannot be created, others can write to it, or DAGSTER_HOME is not a folder.
    """
    if own := os.environ.get("DAGSTER_HOME"):
        if not Path(own).is_absolute() or not Path(own).is_dir():
            raise ConfigurationError(f"DAGSTER_HOME is {own}, which is not the absolute path of a folder. {UNSET_HOME}")
        require_private(Path(own), "DAGSTER_HOME")
        return Path(own)
    config = shipped_file("dagster.yaml")
    if not config.is_file():
        raise ConfigurationError(f"{config} is missing. Install billingo-assets again, or set DAGSTER_HOME.")
    home = settings.dagster_home
    try:
        for folder in (settings.home, home):
            make_private(folder, "BILLINGO_HOME")
        _link(home / "dagster.yaml", config)
    except OSError as error:
        elsewhere = isinstance(error, PermissionError | NotADirectoryError | FileExistsError)
        advice = " Set BILLINGO_HOME to a folder of your own." if elsewhere else ""
        raise ConfigurationError(f"Dagster's home {home} cannot be created: {error.strerror}.{advice}") from None
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _link(link: Path, target: Path) -> None:
    """Point the link at the target, whatever it was before. Two processes may do so at once."""
    if not link.is_symlink() or link.resolve() != target.resolve():
        draft = link.with_name(f".{link.name}.{os.getpid()}")
        draft.symlink_to(target)
        draft.replace(link)


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the instance that the UI shows.

    Raises:
        ConfigurationError: Dagster's home or its `dagster.yaml` cannot be used.
        DatabaseError: the database cannot be reached. Dagster's own services wait for it.
    """
    logging.getLogger().addHandler(_NO_LOG)
    home = prepare_dagster_home(settings)
    try:
        instance = dg.DagsterInstance.from_config(str(home))
    except BillingoAssetsError:
        raise
    except Exception as error:  # of many types: invalid YAML, an unknown entry, a missing class
        said = shorten(str(error), SAID_LENGTH, placeholder=" …")
        raise ConfigurationError(f"Dagster cannot use {home / 'dagster.yaml'}: {said}\n{UNSET_HOME}") from error
    if isinstance(outage := reconnecting.cause_of_outage(), DatabaseUnavailableError):
        instance.dispose()
        raise outage
    pool_connections(instance)
    return instance


def pool_connections(instance: dg.DagsterInstance) -> None:
    """Give the instance a pool of connections: to open one for each event would take half of a short run."""
    instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)


def add_partitions(instance: dg.DagsterInstance, keys: Iterable[str]) -> None:
    """Add the missing partitions of companies."""
    if missing := set(keys) - set(instance.get_dynamic_partitions(COMPANIES)):
        instance.add_dynamic_partitions(COMPANIES, sorted(missing))


def remove_partition(instance: dg.DagsterInstance, key: str) -> None:
    """Remove a company's partition; its past runs stay.

    If a run or a backfill still needs the partition, a sensor removes it later.
    """
    if key in instance.get_dynamic_partitions(COMPANIES) and key not in kept_partitions(instance):
        instance.delete_dynamic_partition(COMPANIES, key)
