"""Creates folders for programs and secrets, for the user alone, and refuses folders that others can write to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from billingo_assets.errors import ConfigurationError

OWN_NAMES = {
    *("dagster", "postgres", "encryption.key", "dev.lock"),  # in BILLINGO_HOME
    *("dagster.yaml", "workspace.yaml", ".logs_queue", ".nux", ".telemetry", "history", "logs", "schedules", "storage"),
}
"""The files and folders that this program and Dagster create."""


def make_private(folder: Path, setting: str) -> None:
    """Create a folder for the user alone, or check that nobody else can write to an existing one.

    `setting` is the setting that names the folder.

    Raises:
        ConfigurationError: it belongs to another user, or others can write to it.
        OSError: it cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_private(folder, setting)


def require_private(folder: Path, setting: str) -> None:
    """Raise ConfigurationError if others can write to it: files in it are executed or decrypt API keys."""
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"{folder} belongs to another user (uid {status.st_uid}). Run the command as that user, or set {setting}"
            " to a folder of your own."
        )
    if status.st_mode & 0o022:
        raise ConfigurationError(
            f"Others on this machine can write to {folder}, and their files there would be executed."
            f" {_advice(folder, status, setting)}"
        )


def _advice(folder: Path, status: os.stat_result, setting: str) -> str:
    """Advise to remove rights if nobody else can need them, and never to move a folder that holds our data."""
    is_shared = status.st_mode & (stat.S_ISVTX | stat.S_ISGID) or status.st_uid != os.geteuid()
    names = {path.name for path in folder.iterdir()}
    if names and names <= OWN_NAMES and not is_shared:
        return f"Close it: chmod go-w '{folder}'"
    return f"Set {setting} to a folder of your own, which nobody else uses; it is created if it does not exist."
