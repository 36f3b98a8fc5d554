"""Finds the project's folder, its `.env`, and the files that an installed package has copies of."""

from __future__ import annotations

import os
from pathlib import Path

from billingo_assets.errors import ConfigurationError

PREFIX = "BILLINGO_"
PROJECT_VARIABLE = f"{PREFIX}PROJECT"
_PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The checkout that contains this package; None if it is installed without one."""
    return _PACKAGE.parent if (_PACKAGE.parent / "workspace.yaml").is_file() else None


def project_root() -> Path:
    """The folder of `.env` and, by default, of the data: BILLINGO_PROJECT, the checkout, or the working directory.

    Raises:
        ConfigurationError: BILLINGO_PROJECT is not the absolute path of a folder.
    """
    if named := os.environ.get(PROJECT_VARIABLE):
        if not Path(named).is_absolute() or not Path(named).is_dir():
            raise ConfigurationError(f"{PROJECT_VARIABLE} is {named}, which is not the absolute path of a folder.")
        return Path(named)
    return checkout() or Path.cwd()


def shipped_file(name: str) -> Path:
    """A file of the checkout's top level, or the installed package's copy of it."""
    return (checkout() or _PACKAGE) / name


def env_file() -> Path:
    """The file with settings that the environment does not have."""
    return project_root() / ".env"


def located(path: Path) -> Path:
    """Resolve a path; a relative one starts in the project's folder, wherever the command is called."""
    try:
        return project_root() / path.expanduser()
    except RuntimeError:
        raise ValueError("begins with a ~ that names nobody's home directory") from None
