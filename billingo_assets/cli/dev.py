"""`billingo-assets dev`: Dagster's UI and daemon on loopback, with the database and, for the demo, the sandbox."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import psutil

from billingo_assets.cli.demo_sandbox import serving_demo_companies
from billingo_assets.cli.ending import SIGNALS
from billingo_assets.cli.output import say
from billingo_assets.companies.registry import list_companies
from billingo_assets.companies.session import connected
from billingo_assets.embedded_postgres.keeper import try_lock
from billingo_assets.errors import ConfigurationError
from billingo_assets.home import make_private
from billingo_assets.project import PROJECT_VARIABLE, project_root, shipped_file
from billingo_assets.settings import load_settings
from billingo_assets.urls import is_loopback
from billingo_assets.warehouse.database import require_writable

LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 0.2
STOP_SECONDS = 20
# Like the daemon's own: a code server logs that it starts before we can switch its colours off.
WEBSERVER = [sys.executable, "-m", "billingo_assets.dagster_support.webserver", "--code-server-log-level", "warning"]
# The daemon starts a code server each minute, and the previous one would warn that it gets no more requests.
DAEMON = [sys.executable, "-m", "dagster._daemon", "run", "--code-server-log-level", "error"]


@click.command(short_help="Run the UI and the daemon.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="The UI's port.")
@click.option("--host", default=LOOPBACK, show_default=True, help="The address at which the UI listens.")
@click.option(
    "--behind-proxy",
    "--i-have-a-proxy",  # its former name
    "behind_proxy",
    is_flag=True,
    help="Allow an address that others can reach, because a proxy in front asks for a password.",
)
@click.option("--read-only", is_flag=True, help="Allow nobody to start, stop or change anything in the UI.")
def dev(port: int, host: str, behind_proxy: bool, read_only: bool) -> None:
    """Run Dagster's UI together with its daemon, until Ctrl-C.

    The UI does not ask for a password: anyone who reaches it can do everything. deploy/ has proxies that do.
    """
    from billingo_assets.dagster_support.instance import add_partitions, open_instance, prepare_dagster_home

    settings = load_settings()
    if not behind_proxy and not is_loopback(host):
        raise ConfigurationError(
            f"The UI does not ask for a password, and others can reach it at {host}. Leave it on {LOOPBACK} and put a"
            " proxy in front (deploy/README.md shows how). If the proxy is on another machine, and nobody else gets"
            " through, add --behind-proxy."
        )
    url = f"http://{_in_url(host)}:{port}"
    if _is_taken(host, port):
        raise ConfigurationError(f"Port {port} is in use. Stop what listens there, or choose another with --port.")
    with connected(settings) as connection:
        require_writable(connection)
        companies = list_companies(connection)
    with _alone(settings.home, url) as lock:
        with open_instance(settings) as instance:
            add_partitions(instance, [company.key for company in companies])
        os.environ[PROJECT_VARIABLE] = str(project_root())  # the services do not run in the working directory
        if "ui_url" not in settings.model_fields_set:
            os.environ["BILLINGO_UI_URL"] = url  # the links in alerts start with it
        with serving_demo_companies(companies, settings):
            say(f"Dagster UI: {url} (ready in a few seconds; Ctrl-C ends it)")
            sys.exit(
                _run_until_stopped(
                    [*WEBSERVER, "--host", host, "--port", str(port), *(["--read-only"] if read_only else [])],
                    DAEMON,
                    folder=prepare_dagster_home(settings),
                    lock=lock,
                )
            )


@contextmanager
def _alone(home: Path, url: str) -> Iterator[int]:
    """Be the only `dev` on this home while the block runs, and yield the lock, which the services hold as well.

    The kernel releases it however its holders end. Two daemons would know nothing of each other.
    """
    path = home / "dev.lock"
    try:
        make_private(home, "BILLINGO_HOME")
        lock = try_lock(str(path))
        if lock is None:
            raise ConfigurationError(
                f"`billingo-assets dev` runs on {home} already ({path.read_text()}), or something that it started does."
                " End it first."
            )
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be used: {error.strerror}. Set BILLINGO_HOME to a folder of yours."
        ) from None
    try:
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()}, {url}".encode())
        yield lock
    finally:
        os.close(lock)


def _is_taken(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _run_until_stopped(*commands: list[str], folder: Path, lock: int) -> int:
    """Run the services until one ends or a signal arrives; then end them all. Returns 0 after a signal."""
    received: list[int] = []
    # Before the services start: in the background of a script this process ignores Ctrl-C, and so would they.
    for number in (signal.SIGINT, *SIGNALS):
        # But nohup ignores SIGHUP on purpose.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: received.append(number))
    services = [_start(command, folder, lock) for command in commands]
    while not received and all(service.poll() is None for service in services):
        time.sleep(LOOK_SECONDS)
    for service in services:
        service.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    for service in services:
        _end_session(service, deadline)
    codes = [service.poll() for service in services]
    return 0 if received else next((code for code in codes if code), 1)


def _end_session(service: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait until everything that a service started has ended; from the deadline on, end it by force."""
    while (left := _living(service.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _living(session: int) -> list[psutil.Process]:
    """The ids of the processes of a session that have not ended."""
    living = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
    return living


def _start(command: list[str], folder: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start one of Dagster's programs in a session of its own: Ctrl-C reaches it once, through this process."""
    workspace = shipped_file("workspace.yaml")
    return subprocess.Popen(  # noqa: S603
        [*command, "--workspace", str(workspace)], cwd=folder, start_new_session=True, pass_fds=[lock]
    )
