"""Dagster's instance and the company partitions in it, for the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from billingo_assets.errors import ConfigurationError
from billingo_assets.partitions import COMPANIES
from billingo_assets.settings import Settings, project_root

STATEMENT_TIMEOUT_MS = 60_000
POOL_RECYCLE_SECONDS = 3_600
POOL_OVERFLOW = 20


def prepare_dagster_home(settings: Settings) -> Path:
    """Return the folder for DAGSTER_HOME, with the project's `dagster.yaml` in it. One that is set already is kept."""
    if own := os.environ.get("DAGSTER_HOME"):
        return Path(own)
    config = project_root() / "dagster.yaml"
    if not config.is_file():
        raise ConfigurationError(f"{config} is missing. Run the command in the project's folder, or set DAGSTER_HOME.")
    home = settings.dagster_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        _link(home / "dagster.yaml", config)
    except OSError as error:
        raise ConfigurationError(
            f"Dagster's home {home} cannot be made: {error.strerror}. Set BILLINGO_HOME to a folder of yours."
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _link(link: Path, target: Path) -> None:
    """Point the link at the target, whatever it was before; two processes at once do no harm."""
    if not link.is_symlink() or link.resolve() != target.resolve():
        draft = link.with_name(f".{link.name}.{os.getpid()}")
        draft.symlink_to(target)
        draft.replace(link)


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the instance that the UI shows."""
    instance = dg.DagsterInstance.from_config(str(prepare_dagster_home(settings)))
    pool_connections(instance)
    return instance


def pool_connections(instance: dg.DagsterInstance) -> None:
    """Give the instance new connections, and keep them: to open one for each event takes half of a short run."""
    instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)


def add_partitions(instance: dg.DagsterInstance, keys: Iterable[str]) -> None:
    """Make sure that each company has its partition."""
    if missing := set(keys) - set(instance.get_dynamic_partitions(COMPANIES)):
        instance.add_dynamic_partitions(COMPANIES, sorted(missing))


def remove_partition(instance: dg.DagsterInstance, key: str) -> None:
    """Take a company's partition away; its past runs stay."""
    if key in instance.get_dynamic_partitions(COMPANIES):
        instance.delete_dynamic_partition(COMPANIES, key)
