"""Processes that use an embedded server, for the tests to start, end and kill. No tests here."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import ClassVar

import psycopg
from sqlalchemy import URL, make_url

import billingo_assets
from billingo_assets.embedded_postgres import embedded_server
from billingo_assets.embedded_postgres.cluster import programs
from billingo_assets_tests.support.patience import PATIENCE_SECONDS

_PROGRAM = """
import os, sys
from pathlib import Path
from billingo_assets.embedded_postgres import EmbeddedServerError, embedded_server
os.umask(int(sys.argv[2], 8))
try:
    server = embedded_server(Path(sys.argv[1]))
except EmbeddedServerError as error:
    print("error:", error, flush=True)
else:
    print(server.url, flush=True)
    sys.stdin.read()
"""


class User:
    """A process that holds the server of `home` until its standard input is closed or it is killed."""

    started: ClassVar[list[User]] = []

    def __init__(
        self,
        home: Path,
        *,
        uid: int | None = None,
        packages: Path | None = None,
        umask: int = 0o022,
        **environment: str,
    ) -> None:
        ours = (Path(billingo_assets.__file__).parents[1], programs().root.parents[1])
        python = sys.executable if uid is None else python_for(uid)
        self.process = subprocess.Popen(
            [str(python), "-c", _PROGRAM, str(home), f"{umask:o}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "PYTHONPATH": str(packages or ":".join(map(str, ours))), **environment},
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        self.started.append(self)

    def url(self) -> str:
        """Wait for the server and return its URL, or the error's text."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate(timeout=PATIENCE_SECONDS)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        self.process.communicate(timeout=PATIENCE_SECONDS)


def python_for(uid: int) -> str | None:
    """Return an interpreter of our version that the user may run, if there is one: ours may be in a private folder."""
    same_version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for python in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(
                [python, "-c", same_version],
                check=True, cwd="/", user=uid, group=uid, extra_groups=[],
            )  # fmt: skip
            return python
    return None


NOBODY = pwd.getpwnam("nobody").pw_uid


@contextmanager
def fresh_home(uid: int | None = None) -> Iterator[Path]:
    """Yield a home in a private directory of its own, with a path that fits a socket; end all that use it."""
    root = Path(tempfile.mkdtemp(prefix="billingo-test-", dir="/tmp"))
    if uid is not None:
        os.chown(root, uid, uid)
    home = root / "home"
    try:
        with nobody_left(home):
            yield home
    finally:
        shutil.rmtree(root)


@contextmanager
def throwaway_server() -> Iterator[URL]:
    """A server that nobody else uses; ended, and its data removed, afterwards.

    Not below pytest's own folder: another run by the same user makes that private again, and so takes it away from
    the account that the server of root runs under.
    """
    with tempfile.TemporaryDirectory(prefix="billingo-tests-") as home, embedded_server(Path(home)) as server:
        try:
            yield make_url(server.url)
        finally:
            server.close()
            await_release(Path(home), "server")  # it writes until it has ended
            await_release(Path(home), "keeper")


@contextmanager
def nobody_left(home: Path) -> Iterator[None]:
    """Bound what happens inside; then end all that use a server under `home`, and wait for its end."""
    try:
        with longest_wait():
            yield
    finally:
        while User.started:
            User.started.pop().kill()
        for locks in home.rglob("locks"):
            with longest_wait():
                await_release(locks.parents[1], "keeper")
                await_release(locks.parents[1], "server")


@contextmanager
def longest_wait() -> Iterator[None]:

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"nothing happened within {PATIENCE_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def await_release(home: Path, lock: str) -> None:
    """Wait until nobody holds the lock: of `server`, until it has ended; of `keeper`, until that has."""
    with (home / "postgres" / "locks" / lock).open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def is_held(home: Path, lock: str, *, against: int = fcntl.LOCK_SH) -> bool:
    """Whether somebody holds the lock exclusively; against `fcntl.LOCK_EX`, whether anybody holds it at all."""
    with (home / "postgres" / "locks" / lock).open() as file:
        try:
            fcntl.flock(file, against | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def postmaster(home: Path) -> int:
    """Return the process id of the running server of `home`."""
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def parent(process: int) -> int:
    answer = subprocess.run(["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, check=True)
    return int(answer.stdout)


def ask(url: str, question: str) -> object:
    """Return the first column of the first row."""
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]
