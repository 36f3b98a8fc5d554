"""`billingo-assets dev`: Dagster's UI and daemon on loopback, with the database and, for the demo, the sandbox."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click
import psutil

from billingo_assets.cli.demo_sandbox import serving_demo_companies
from billingo_assets.companies.registry import list_companies
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import load_settings, project_root
from billingo_assets.warehouse.database import connecting, open_database

HOST = "127.0.0.1"
STOP_SECONDS = 20


@click.command(short_help="Open the UI, with the daemon.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="The UI's port.")
@click.option("--read-only", is_flag=True, help="Let nobody start, stop or change anything in the UI.")
def dev(port: int, read_only: bool) -> None:
    """Run Dagster's UI on loopback together with its daemon, until Ctrl-C."""
    from billingo_assets.instance import add_partitions, open_instance, prepare_dagster_home

    settings = load_settings()
    if _is_taken(port):
        raise ConfigurationError(f"Port {port} is in use. Stop what listens there, or choose another with --port.")
    with connecting(open_database(settings)) as connection:
        companies = list_companies(connection)
    with open_instance(settings) as instance:
        add_partitions(instance, [company.key for company in companies])
    with serving_demo_companies(companies, settings):
        click.echo(f"Dagster UI: http://{HOST}:{port} (ready in a few seconds; Ctrl-C ends it)")
        sys.exit(
            _run_until_stopped(
                ["dagster-webserver", "--host", HOST, "--port", str(port), *(["--read-only"] if read_only else [])],
                ["dagster-daemon", "run"],
                folder=prepare_dagster_home(settings),
            )
        )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _run_until_stopped(*commands: list[str], folder: Path) -> int:
    """Run the services until one ends or we are told to stop; then end them all. Returns 0 when we were told."""
    services: list[subprocess.Popen[bytes]] = []
    told: list[int] = []

    def stop(number: int, _: object) -> None:
        told.append(number)
        for service in services:
            service.send_signal(signal.SIGINT)

    # Before the services start: started in the background by a script, we ignore Ctrl-C, and they would with us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    services += [_start(command, folder) for command in commands]
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # until one ends, whichever it is
    for service in services:
        service.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    codes = []
    for service in services:
        with suppress(subprocess.TimeoutExpired):
            codes.append(service.wait(timeout=max(0, deadline - time.monotonic())))
    for service in services:
        _end_session(service, deadline)
    return 0 if told else next((code for code in codes if code), 1)


def _end_session(service: subprocess.Popen[bytes], deadline: float) -> None:
    """See that nothing that a service started is left, from the deadline on by force.

    A code server that met a restart of PostgreSQL has lost the thread that would end it (Dagster 1.13).
    """
    while (left := _living(service.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _living(session: int) -> list[psutil.Process]:
    """The processes of a session that have not ended."""
    living = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
    return living


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start one of Dagster's programs in a session of its own: Ctrl-C reaches it through us alone, once."""
    program = Path(sys.executable).with_name(command[0])
    workspace = project_root() / "workspace.yaml"
    return subprocess.Popen(  # noqa: S603
        [str(program), *command[1:], "--workspace", str(workspace)], cwd=folder, start_new_session=True
    )
