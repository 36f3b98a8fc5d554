"""The programs that tests need beside Python's: finds what is installed, or installs it.

`python -m billingo_assets_tests.support.programs` makes sure of all of them; `make test` does so before the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from billingo_assets_tests.support.patience import PATIENCE_SECONDS

INSTALL_SECONDS = 900


class NoProgramError(Exception):
    """A program is not there; the text says what needs it and how to have it."""


@dataclass(frozen=True)
class Needed:
    """A program: how it is found (raises NoProgramError), and ways to install it, each some commands.

    Without one that is optional, its tests are skipped; without another, they fail.
    """

    name: str
    find: Callable[[], Path]
    ways: Sequence[Sequence[Sequence[str]]]
    optional: bool = False


def first_that_starts(candidates: Sequence[Path], *options: str, otherwise: str) -> Path:
    """Return the first program that runs with the options.

    Raises:
        NoProgramError: none does; `otherwise` is its text.
    """
    for program in candidates:
        if _starts(program, options):
            return program
    raise NoProgramError(otherwise)


def installed(*names: str) -> list[Path]:
    """Where the programs are that are in the path, or where only root's is."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return [Path(program) for name in names if (program := shutil.which(name, path=path))]


def apt_get(*packages: str) -> list[list[list[str]]]:
    """The way by Debian's packages, where we may. Nothing that is installed is started."""
    if not is_root() or not shutil.which("apt-get"):
        return []
    install = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--quiet"]
    return [[["apt-get", "update", "--quiet"], [*install, *packages]]]


def is_root() -> bool:
    """Whether we may do everything on this machine."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def ensure(needed: Needed) -> Path:
    """Return the program, installing it if need be, in the first way that works."""
    for way in [[], *needed.ways]:
        for command in way:
            print(f"Installing {needed.name} for the tests: {' '.join(command)}", flush=True)  # noqa: T201
            try:
                ended = subprocess.run(command, check=False, timeout=INSTALL_SECONDS).returncode
            except (OSError, subprocess.TimeoutExpired):
                break
            if ended != 0:
                break
        try:
            return needed.find()
        except NoProgramError:
            continue
    return needed.find()


def _starts(program: Path, options: Sequence[str]) -> bool:
    # A package may leave a program that only says where to get it, or lack a library.
    try:
        return subprocess.run([program, *options], capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def ensure_all(programs: Sequence[Needed]) -> list[str]:
    """Make sure of every program, and return what to say of those that are not to be had, but ought to be."""
    missing = []
    for needed in programs:
        try:
            print(f"The tests use {ensure(needed)}")  # noqa: T201
        except NoProgramError as error:
            if needed.optional:
                print(error)  # noqa: T201
            else:
                missing.append(str(error))
    return missing


def main() -> None:
    """Make sure of every program; what is not to be had is told, and its tests will say so again."""
    from billingo_assets_tests.support.browser import CHROMIUM
    from billingo_assets_tests.support.office import OFFICE
    from billingo_assets_tests.support.pooler import PGBOUNCER
    from billingo_assets_tests.support.webserver import CADDY, NGINX

    if missing := ensure_all([CHROMIUM, NGINX, PGBOUNCER, CADDY, OFFICE]):
        sys.exit("\n".join(missing))


if __name__ == "__main__":
    # As a module: the error that is caught is then the one that is raised.
    from billingo_assets_tests.support import programs

    programs.main()
