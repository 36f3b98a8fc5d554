"""The detached process that starts PostgreSQL and stops it when its last user is gone.

`server` runs it as a script in the server's directory. It imports a little of the standard library and
nothing of this package, since it lives as long as the server does. Four lock files, released by the kernel
however their holders end, are all that the processes share:

    users    shared: every process that needs the server; exclusive: the keeper that stops it
    start    exclusive: a process that looks for a server, until one is ready
    keeper   exclusive: the keeper, all its life
    server   exclusive: every process of the server, which inherit it; free means that the server is gone

So no process id is ever trusted: a reboot or a crash may have given it to another process.
"""

# No pathlib: the keeper would import a quarter more.
# ruff: noqa: PTH106, PTH108, PTH109, PTH115

import _thread
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress

SOCKET_NAME = ".s.PGSQL.5432"
READY_SECONDS = 300
"""The longest wait for a server to take connections: after a crash it first replays its log."""
STOP_SECONDS = 60
"""The longest wait for a fast shutdown; then the server stops at once, and its next start replays its log."""
POLL_SECONDS = 0.01

_SOCKET = f"data/{SOCKET_NAME}"
_STARTUP = b"\0\3\0\0user\0billingo\0database\0billingo\0\0"
_TERMINATE = b"X\0\0\0\4"
_CANNOT_CONNECT_NOW = b"C57P03\0"


def answers(path: str) -> bool:
    """Whether the server at the Unix socket `path` takes connections, and so is not starting or stopping."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(path)
            connection.sendall(struct.pack("!I", len(_STARTUP) + 4) + _STARTUP + _TERMINATE)
            reply = connection.recv(1024)
        except OSError:
            return False
    return reply != b"" and _CANNOT_CONNECT_NOW not in reply


def try_lock(path: str) -> int | None:
    """Lock the file exclusively and return its descriptor, which is not inherited; None if another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _wait_for(path: str, mode: int) -> None:
    fcntl.flock(os.open(path, os.O_RDWR | os.O_NOFOLLOW), mode)


def _listener() -> int:
    """Ask the kernel for the id of the process that listens on the socket; 0 if none does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(_SOCKET)
            if sys.platform == "darwin":
                return connection.getsockopt(0, 2)  # SOL_LOCAL, LOCAL_PEERPID
            return int(struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
        except OSError:
            return 0


class _Server:
    """The server that this keeper started, or found running after another keeper's death."""

    def __init__(self, programs: str, uid: int, gid: int) -> None:
        data = f"{os.getcwd()}/data"  # absolute, so that a list of processes shows the owner of the server
        self._command = [f"{programs}/postgres", "-D", data, "-c", "config_file=postgresql.conf"]
        self._uid, self._gid = uid, gid
        self._child: subprocess.Popen[bytes] | None = None

    def bring_up(self) -> str:
        """Wait until a server answers, starting one if none is left; return why it does not, or nothing."""
        deadline = time.monotonic() + READY_SECONDS
        while not answers(_SOCKET):
            if time.monotonic() > deadline:
                self.stop(signal.SIGQUIT)
                return f"it took no connection within {READY_SECONDS} seconds"
            if self._child is None:
                self._start_unless_running()
            elif self._child.poll() is not None:
                return f"it ended with status {self._child.returncode}"
            time.sleep(POLL_SECONDS)
        return ""

    def _start_unless_running(self) -> None:
        lock = try_lock("locks/server")
        if lock is None:
            return
        # No process of an earlier server lives, even if some process (or zombie) has the id that it left behind.
        for left_behind in ("data/postmaster.pid", f"{_SOCKET}.lock"):
            with suppress(FileNotFoundError):
                os.unlink(left_behind)
        self._child = subprocess.Popen(  # noqa: S603
            self._command,
            stdin=subprocess.DEVNULL,
            pass_fds=[lock],
            user=self._uid,
            group=self._gid,
            extra_groups=[] if os.geteuid() == 0 else None,
        )
        os.close(lock)

    def reap(self) -> None:
        """Leave no zombie in containers with a first process that never waits for orphans."""
        if self._child is not None:
            self._child.wait()

    def stop(self, how: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(how)
        elif (listener := _listener()) > 0:
            with suppress(ProcessLookupError):
                os.kill(listener, how)


def _keep(server: _Server, start: int, report: int) -> None:
    if os.fork():
        os._exit(0)  # our launcher reaps this half now, and never the other
    keeper = try_lock("locks/keeper")
    try:
        failure = server.bring_up() if keeper is not None else "another keeper is at work"
    except OSError as error:
        failure = str(error)
    fcntl.flock(start, fcntl.LOCK_UN)
    with suppress(BrokenPipeError):
        os.write(report, (failure or "ready").encode("utf-8", "surrogateescape"))
    os.close(report)
    if failure or keeper is None:
        return

    unused: list[bool] = []

    def stop_when_unused() -> None:
        _wait_for("locks/users", fcntl.LOCK_EX)
        unused.append(True)
        signal.alarm(STOP_SECONDS)
        server.stop(signal.SIGINT)

    signal.signal(signal.SIGALRM, lambda *_: server.stop(signal.SIGQUIT))
    _thread.start_new_thread(stop_when_unused, ())
    _wait_for("locks/server", fcntl.LOCK_SH)
    server.reap()
    if unused:
        _remove_short_path()
    os.close(keeper)  # before the users' lock: the next process finds no keeper


def _remove_short_path() -> None:
    with suppress(OSError):
        short = os.readlink("short")
        os.unlink(f"{short}/data")
        os.rmdir(short)
        os.unlink("short")


if __name__ == "__main__":
    _keep(_Server(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4]), int(sys.argv[5]))
    os._exit(0)  # the thread may still wait for users of a server that died
