"""A night in fast motion: one tick for many companies, one of which fails; the alert, the repair, the message after it.

Prints what happens as it happens, then what it cost. Everything is real: the services as `billingo-assets dev` runs
them, a sandbox on a port, the embedded PostgreSQL, a mail server.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from aiosmtpd.controller import Controller

from benchmarks.services import COMMAND, PROJECT, environment
from billingo_assets.sandbox import SandboxServer
from billingo_assets.sandbox.world import CompanySpec, World

ZONE = ZoneInfo("Europe/Budapest")
DOCUMENTS = 61
PATIENCE_SECONDS = 3_600
POLL_SECONDS = 0.5
PROGRESS = 50
"""Runs that end between two lines about them."""

SYNCS = """
    SELECT run.status, run.start_time, run.end_time, EXTRACT(epoch FROM run.create_timestamp)::float
    FROM dagster.runs AS run JOIN dagster.run_tags AS tag USING (run_id)
    WHERE tag.key = 'dagster/schedule_name' AND tag.value = 'daily'
"""


def say(words: str) -> None:
    """Print a line of the transcript."""
    print(f"{datetime.now(ZONE):%H:%M:%S}  {words}", flush=True)  # noqa: T201


class Mailbox:
    """A mail server that keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: queue.Queue[EmailMessage] = queue.Queue()

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        """Called by the server for each mail."""
        content: bytes = envelope.content  # type: ignore[attr-defined]
        mail = message_from_bytes(content, policy=policy.default)
        self.mails.put(mail)
        return "250 OK"

    def wait(self) -> EmailMessage:
        """Return the next mail."""
        mail = self.mails.get(timeout=PATIENCE_SECONDS)
        say(f"mail: {mail['Subject']}")
        body = mail.get_body(("plain", "html"))
        for line in (body.get_content() if body else "").strip().splitlines():
            print(f"            {line}")  # noqa: T201
        return mail


@dataclass(frozen=True)
class Cost:
    """What the services took from start to end, their runs included."""

    cpu_seconds: float


@contextmanager
def services(settings: dict[str, str], port: int, log: Path) -> Iterator[list[Cost]]:
    """Run `billingo-assets dev` while the block runs; its cost is in the list afterwards."""
    cost: list[Cost] = []
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [COMMAND, "dev", "--port", str(port)], env=settings, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield cost
        finally:
            process.send_signal(signal.SIGTERM)
            _, _, usage = os.wait4(process.pid, 0)
            cost.append(Cost(usage.ru_utime + usage.ru_stime))


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(*words: str, settings: dict[str, str], told: str = "", check: bool = True) -> str:
    """Run `billingo-assets` and return what it prints."""
    done = subprocess.run(  # noqa: S603
        [COMMAND, *words], env=settings, cwd=PROJECT, input=told, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"billingo-assets {' '.join(words)} failed: {done.stderr}")
    return done.stdout


def syncs(url: str) -> list[tuple[str, float | None, float | None, float]]:
    """The runs that the schedule asked for: status, start, end, when they were asked for."""
    with psycopg.connect(url) as connection:
        return connection.execute(SYNCS).fetchall()


def night(companies: int, home: Path) -> None:
    """Live through one."""
    keys = [f"company-{number:03}" for number in range(companies)]
    world = World(companies=[CompanySpec(key, f"{key} Kft.", DOCUMENTS) for key in keys])
    broken = world.company(keys[companies // 2])
    good_key = broken.api_key
    mailbox, port, mail_port = Mailbox(), free_port(), free_port()
    mail_server = Controller(mailbox, hostname="127.0.0.1", port=mail_port)
    mail_server.start()
    with SandboxServer(world) as sandbox:
        settings = environment(
            BILLINGO_HOME=home,
            BILLINGO_API_URL=sandbox.url,
            BILLINGO_UI_URL=f"http://127.0.0.1:{port}",
            BILLINGO_ALERT_URLS=f"mailto://127.0.0.1:{mail_port}?from=billingo@example.com&to=you@example.com",
        )
        given = json.dumps({key: world.company(key).api_key for key in keys})
        command = [sys.executable, "-m", "benchmarks.register"]
        subprocess.run(command, env=settings, cwd=PROJECT, input=given, capture_output=True, text=True, check=True)  # noqa: S603
        say(f"{companies} companies of {DOCUMENTS} documents are registered")
        run("sync", settings=settings)
        say("every company had its first sync")
        broken.replace_api_key("00000000-0000-4000-8000-000000000000")
        say(f"somebody revokes the API key of {broken.key}")
        tick = (datetime.now(ZONE) + timedelta(seconds=75)).replace(second=0, microsecond=0)
        settings["BILLINGO_CRON_DAILY"] = f"{tick.minute} {tick.hour} * * *"
        say(f"the services start; the schedule ticks at {tick:%H:%M}")
        url = ""
        with services(settings, port, home / "services.log") as cost:
            url = run("database", "url", settings=settings).strip()
            told = -1
            while True:
                runs = syncs(url)
                over = sum(end is not None for _, _, end, _ in runs)
                if runs and over // PROGRESS > told:
                    say(f"{over} of {len(runs)} runs have ended")
                    told = over // PROGRESS
                if len(runs) == companies == over:
                    break
                time.sleep(POLL_SECONDS)
            failed = sum(status == "FAILURE" for status, *_ in runs)
            first, last = min(asked for *_, asked in runs), max(end or 0 for _, _, end, _ in runs)
            busy = sum((end or 0) - (start or 0) for _, start, end, _ in runs)
            say(f"all {companies} runs have ended, {failed} of them in failure")
            mailbox.wait()
            heading, *lines = run("status", settings=settings, check=False).splitlines()
            shown = [line for line in lines if line.startswith((broken.key, "  "))]
            print(heading, *shown, sep="\n")  # noqa: T201
            broken.replace_api_key(good_key)
            say("the key is valid again, and the company is synced by hand")
            say(run("sync", broken.key, settings=settings).splitlines()[0])
            mailbox.wait()
        mail_server.stop()
    wall = last - tick.timestamp()
    say(
        f"{companies} companies: {wall:.0f} s from the tick to the end of the last run"
        f" ({first - tick.timestamp():.0f} s to the first request, {busy / companies:.2f} s a run within Dagster)"
    )
    say(
        f"CPU of the services with all runs: {cost[0].cpu_seconds:.0f} s, {cost[0].cpu_seconds / companies:.2f} s a run"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--companies", type=int, default=200)
    with tempfile.TemporaryDirectory(prefix="billingo-night-") as directory:
        night(parser.parse_args().companies, Path(directory))
    sys.exit(0)
