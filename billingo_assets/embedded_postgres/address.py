"""Finds the server's socket and writes its URL.

The socket lies in the data directory, which only the server's account and root may enter. A path too long
for a Unix socket gets a short one: a symbolic link to the data directory, in a directory of our own under the
temporary directory. The link `short` points to that directory. This module starts no server.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

from billingo_assets.embedded_postgres.keeper import SOCKET_NAME

SOCKET_PATH_BYTES = 103
"""The longest path of a Unix socket: macOS allows 103 bytes, Linux 107."""


def url(socket_directory: Path) -> str:
    """Return the libpq URL of the database `billingo` on the server with its socket in `socket_directory`."""
    return f"postgresql://billingo@/billingo?host={quote(os.fsencode(socket_directory), safe='')}"


def socket_directory(directory: Path) -> Path:
    """Return a path to `directory / "data"` that a Unix socket's address can hold.

    Makes the short path if it is needed and missing; call it under the `start` lock. Raises OSError.
    """
    data, record = directory / "data", directory / "short"
    if _fits(data):
        return data
    short = record.readlink() if record.is_symlink() else None
    if short is None or not _made_or_ours(short):
        short = Path(tempfile.mkdtemp(prefix="billingo-", dir=_temporary_directory()))
        record.unlink(missing_ok=True)
        record.symlink_to(short)
    alias = short / "data"
    if not alias.is_symlink():
        alias.symlink_to(data)
    return alias


def _fits(directory: Path) -> bool:
    path = os.fsencode(directory / SOCKET_NAME)
    return len(path) <= SOCKET_PATH_BYTES and b"," not in path  # for libpq, a comma ends a host


def _temporary_directory() -> str:
    usual = tempfile.gettempdir()
    return usual if _fits(Path(usual, "billingo-12345678", "data")) else "/tmp"  # noqa: S108


def _made_or_ours(short: Path) -> bool:
    """Whether `short` is a directory that only we may enter. Created again if a cleaner removed it."""
    try:
        short.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    status = short.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
