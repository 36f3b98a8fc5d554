"""Chooses the account of the server: only root has to, since PostgreSQL refuses to run as root.

No account is created: a program that syncs invoices has no business in `/etc/passwd`, and containers lack
the tools. Root's server runs as the first existing account of `billingo` (create it for a dedicated one), `postgres`
and `nobody`, and a data directory keeps its first owner. That account gets search permission, and no more, on private
directories on its way, by an access control list for it alone. Callers name the programs and directories.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

ACCOUNTS = ("billingo", "postgres", "nobody")

_ACL = "system.posix_acl_access"
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_READ, _SEARCH = 4, 1


@dataclass(frozen=True)
class Account:
    """A numeric user and group."""

    uid: int
    gid: int


def server_account(data: Path) -> Account:
    """Choose the account of the server with the data directory `data`, which need not exist yet.

    Raises LookupError if root finds no account to run it as.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.is_dir() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LookupError(f"none of the accounts {', '.join(ACCOUNTS)} exists")


def open_way(path: Path, account: Account) -> None:
    """Let `account` pass through every private directory down to `path`, which is resolved and included.

    Nobody else gains anything, and the account cannot list the directories. Raises OSError if the file system
    has no access control lists.
    """
    for directory in (path, *path.parents):
        _grant(directory, account.uid, _SEARCH)


def open_programs(root: Path, account: Account) -> None:
    """Let `account` run the public programs under `root` if they were installed for their owner alone."""
    open_way(root, account)
    if (root / "bin" / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            _grant(path, account.uid, _READ | (_SEARCH if path.stat().st_mode & stat.S_IXUSR else 0))


def _grant(path: Path, uid: int, permissions: int) -> None:
    """Add `permissions` for one user; every other effective permission stays as it is."""
    status = path.stat()
    if status.st_mode & permissions == permissions or status.st_uid == uid:
        return
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))
    try:
        entries = {(tag, name): bits for tag, bits, name in _ENTRY.iter_unpack(os.getxattr(path, _ACL)[4:])}
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        modes = ((_USER_OBJ, 6), (_GROUP_OBJ, 3), (_OTHER, 0))
        entries = {(tag, _NO_ID): status.st_mode >> shift & 7 for tag, shift in modes}
    if entries.get((_USER, uid), 0) & entries.get((_MASK, _NO_ID), 7) & permissions == permissions:
        return
    mask = entries.pop((_MASK, _NO_ID), 7)
    # Permissions that the old mask withheld from others must not become effective under the wider one.
    limited = {key: bits & mask if key[0] in (_USER, _GROUP_OBJ, _GROUP) else bits for key, bits in entries.items()}
    limited[_USER, uid] = limited.get((_USER, uid), 0) | permissions
    limited[_MASK, _NO_ID] = 0
    for (tag, _), bits in list(limited.items()):
        if tag in (_USER, _GROUP_OBJ, _GROUP):
            limited[_MASK, _NO_ID] |= bits
    packed = (_ENTRY.pack(tag, bits, name) for (tag, name), bits in sorted(limited.items()))
    os.setxattr(path, _ACL, _VERSION + b"".join(packed))
