"""`billingo-assets dev`: Dagster's UI and daemon on loopback, with the database and, for the demo, the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from billingo_assets.cli.demo_sandbox import is_listening, serving_demo_companies
from billingo_assets.companies.registry import list_companies
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import load_settings, project_root
from billingo_assets.warehouse.database import connecting, open_database

HOST = "127.0.0.1"


@click.command(short_help="Open the UI, with the daemon.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="The UI's port.")
def dev(port: int) -> None:
    """Run Dagster's UI on loopback together with its daemon, until Ctrl-C."""
    from billingo_assets.instance import add_partitions, open_instance

    settings = load_settings()
    if is_listening(port):
        raise ConfigurationError(f"Port {port} is in use. Stop what listens there, or choose another with --port.")
    with connecting(open_database(settings)) as connection:
        companies = list_companies(connection)
    with open_instance(settings) as instance:
        add_partitions(instance, [company.key for company in companies])
    click.echo(f"Dagster UI: http://{HOST}:{port} (Ctrl-C ends it)")
    with serving_demo_companies(companies):
        sys.exit(_run_until_stopped(port))


def _run_until_stopped(port: int) -> int:
    """Run `dagster dev`, hand it the signals that reach us, and return its exit code."""
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "--workspace",
        str(project_root() / "workspace.yaml"),
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, cwd=project_root(), env=dict(os.environ))  # noqa: S603 - our own words
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    code = process.wait()
    return 0 if code in (0, -signal.SIGINT) else code
