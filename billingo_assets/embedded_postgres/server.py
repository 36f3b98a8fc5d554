"""Hold the embedded PostgreSQL: join the running one, or start it. The locks are described in `keeper`.

No driver and no SQL: the content of the database belongs to `warehouse`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from billingo_assets.embedded_postgres import address, cluster, keeper
from billingo_assets.embedded_postgres.cluster import EmbeddedServerError
from billingo_assets.home import make_private

LOG_BYTES = 8 * 1024 * 1024
"""In bytes: a joining process moves the content of a longer log to `server.log.1`, replacing the former one."""


@dataclass
class _Hold:
    """This process's share in the `users` lock of a directory, and how many of its servers are not closed."""

    directory: Path
    descriptor: int
    count: int = 0


_holds: dict[Path, _Hold] = {}
_mutex = threading.RLock()
# A child forked while another thread starts a server would keep that thread's locks to its own end.
os.register_at_fork(before=_mutex.acquire, after_in_parent=_mutex.release, after_in_child=_mutex.release)


class EmbeddedServer:
    """A share in the server of one home: it runs at least until `close()` or the end of this process.

    A forked child is another user, until it closes or ends; an executed program is not.
    """

    def __init__(self, hold: _Hold, url: str) -> None:
        self._hold: _Hold | None = hold
        self.url = url
        """The database as an ordinary libpq URL, `postgresql://billingo@/billingo?host=…`."""

    def close(self) -> None:
        """Give the share back; the server stops when no process on this machine has one. Harmless if repeated."""
        with _mutex:
            hold, self._hold = self._hold, None
            if hold is not None:
                _give_back(hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def embedded_server(home: Path) -> EmbeddedServer:
    """Return a share in the PostgreSQL of `home`, whose `postgres` directory is created if it is missing.

    Starts the server if it does not run, and waits while another process starts or stops it. A later call
    restarts a server that died under its users. Raises EmbeddedServerError.
    """
    directory = home.resolve() / "postgres"
    with _mutex:
        try:
            make_private(home, "BILLINGO_HOME")
            hold = _take(directory)
            try:
                return EmbeddedServer(hold, _running(directory))
            except BaseException:
                _give_back(hold)
                raise
        except OSError as error:
            raise _in_words(directory, error) from error


def _take(directory: Path) -> _Hold:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (owner := directory.stat().st_uid) != os.geteuid():
        raise EmbeddedServerError(
            f"{directory} belongs to the user with id {owner}, and this process runs as {os.geteuid()}. "
            "Run it as the owner, or set BILLINGO_HOME to a directory of your own."
        )
    (directory / "locks").mkdir(mode=0o700, exist_ok=True)
    descriptor = _open_lock(directory, "users")
    hold = _holds.get(directory)
    # A share in a directory that was deleted and created again since is worthless.
    if hold is None or not os.path.samestat(os.fstat(hold.descriptor), os.fstat(descriptor)):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        hold = _holds[directory] = _Hold(directory, descriptor)
    else:
        os.close(descriptor)
    hold.count += 1
    return hold


def _give_back(hold: _Hold) -> None:
    hold.count -= 1
    if hold.count == 0:
        # Closed, not unlocked: a forked child shares the lock and may still need it.
        os.close(hold.descriptor)
        if _holds.get(hold.directory) is hold:
            del _holds[hold.directory]


def _open_lock(directory: Path, name: str) -> int:
    return os.open(directory / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _running(directory: Path) -> str:
    """Join or start the server; return its URL. The caller has its share in the `users` lock."""
    start = _open_lock(directory, "start")
    try:
        fcntl.flock(start, fcntl.LOCK_EX)
        socket_directory = address.socket_directory(directory)
        _bound_log(directory / "server.log")
        if not _joined(directory, socket_directory):
            _launch(directory, start)
        return address.url(socket_directory)
    finally:
        os.close(start)  # closed, not unlocked: a keeper that outlives a failure here may still be starting


def _joined(directory: Path, socket_directory: Path) -> bool:
    """Whether a keeper is there and its server answers; False once there is none."""
    deadline = time.monotonic() + keeper.STOP_SECONDS
    while (free := keeper.try_lock(str(directory / "locks" / "keeper"))) is None:
        if keeper.answers(str(socket_directory / keeper.SOCKET_NAME)):
            return True
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"The PostgreSQL in {directory} has not answered for {keeper.STOP_SECONDS} seconds: it "
                f"recovers from a crash, or hangs. Look into {directory / 'server.log'} and try again."
            )
        time.sleep(keeper.POLL_SECONDS)
    os.close(free)
    return False


def _launch(directory: Path, start: int) -> None:
    """Start a keeper, which starts the server or adopts one without a keeper, and wait for its word."""
    installed, account = cluster.prepare(directory, start)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    log = os.open(directory / "server.log", flags, 0o600)
    said_before = os.fstat(log).st_size
    read, write = os.pipe()
    arguments = (installed.bin, account.uid, account.gid, start, write)
    with os.fdopen(read, "rb") as report:
        try:
            subprocess.run(  # noqa: S603
                [sys.executable, "-I", "-S", keeper.__file__, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=cluster.ENVIRONMENT,
                start_new_session=True,
                pass_fds=(start, write),
                check=False,
            )
        finally:
            os.close(write)
            os.close(log)
        outcome = report.read().decode("utf-8", "replace")  # ends with the keeper, which bounds its own waits
    if outcome != "ready":
        with (directory / "server.log").open("rb") as lines:
            lines.seek(said_before)
            words = cluster.last_words(lines.read())
        raise EmbeddedServerError(
            f"The PostgreSQL in {directory} did not start: {outcome or 'its keeper ended'}. Its log: {words}"
            "Fix what it names (a full disk? permissions?) and try again."
        )


def _bound_log(log: Path) -> None:
    """Cut a long log back; the server appends to the open file, so the file stays and its content moves."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_name("server.log.1"))
        os.truncate(log, 0)


def _in_words(directory: Path, error: OSError) -> EmbeddedServerError:
    # Another BILLINGO_HOME would leave the data behind: advise it only without data.
    elsewhere = "" if (directory / "data").exists() else ", or set BILLINGO_HOME to another directory"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = "Free some space on the disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        cure = "Run this as the owner of that directory"
    else:
        cure = "Fix that and try again"
    what = f"{error.strerror} ({error.filename})" if error.filename else str(error)
    return EmbeddedServerError(f"The PostgreSQL in {directory} cannot be used: {what}. {cure}{elsewhere}.")
