"""What every contender talks to: one sandbox and one PostgreSQL, each in a process that ends with this one.

Both take the end of their standard input for the end of their work, so that neither outlives a benchmark that was
killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg

PROJECT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("billingo-assets")
STOP_SECONDS = 60
_LOGGED_REQUESTS = 100_000  # the sandbox keeps no more
_FOREIGN = ("BILLINGO_", "PG", "DLT_", "PYTHON")


def environment(**settings: object) -> dict[str, str]:
    """Our environment, without what would change a contender's behaviour, and with these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"NO_PROXY": "127.0.0.1"} | {name: str(value) for name, value in settings.items()}


class Sandbox:
    """A running sandbox, driven over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.api_url = f"{url}/v3"
        companies = json.loads(self._send("/sandbox/companies"))["companies"]
        self.api_keys: dict[str, str] = {company["key"]: company["api_key"] for company in companies}

    def documents(self, company: str) -> int:
        """How many documents a company has."""
        total: int = self._page(company, 1)["total"]
        return total

    def count_requests(self) -> int:
        """How many requests it has answered so far."""
        # Not decoded: our own memory at its peak would be counted as that of the programs started later.
        count = self._send("/sandbox/requests").count(b'"method"')
        if count >= _LOGGED_REQUESTS:
            raise RuntimeError("The sandbox's log of requests is full: nothing can be counted any more.")
        return count

    def set_latency(self, seconds: float) -> None:
        """Let every answer wait."""
        self._send("/sandbox/faults", {"latency_seconds": seconds})

    def change(self, company: str, number: int, comment: str) -> None:
        """Change that many documents, spread evenly over the company."""
        step = self.documents(company) // number
        for place in range(1, number * step, step):
            [document] = self._page(company, place)["data"]
            fields = {"comment": comment}
            self._send(
                "/sandbox/mutate",
                {"company": company, "mutation": "change", "document_id": document["id"], "fields": fields},
            )

    def _page(self, company: str, number: int) -> Any:
        return json.loads(self._send(f"/v3/documents?per_page=1&page={number}", api_key=self.api_keys[company]))

    def _send(self, path: str, content: Mapping[str, object] | None = None, *, api_key: str = "") -> bytes:
        body = None if content is None else json.dumps(content).encode()
        with urlopen(Request(self.url + path, body, {"X-API-KEY": api_key})) as answer:  # noqa: S310 - our own
            answered: bytes = answer.read()
        return answered


class Postgres:
    """A running PostgreSQL. Every measurement has a database of its own in it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str) -> str:
        """The libpq URL of a database."""
        return urlsplit(self._url)._replace(path=f"/{database}").geturl()

    def make(self, database: str, *, like: str = "template1") -> str:
        """Make the database anew, as a copy of another, and return its URL."""
        self.drop(database)
        self._execute(f'CREATE DATABASE "{database}" TEMPLATE "{like}" STRATEGY file_copy')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop the database, if it is there."""
        self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def settle(self, database: str | None = None) -> None:
        """Have done at once what the server would do in the background, in the midst of a measurement."""
        if database is not None:
            self._execute("VACUUM (ANALYZE)", database)
        self._execute("CHECKPOINT")

    def count(self, database: str, rows: str) -> int:
        """Count the rows of `rows`, a table and perhaps a condition."""
        return int(self._execute(f"SELECT count(*) FROM {rows}", database)[0][0])  # noqa: S608

    def cpu_seconds(self) -> float:
        """Processor time of the server and all its processes since it began, those that have ended included."""
        [(folder,)] = self._execute("SHOW data_directory")
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        processes = [postmaster, *map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())]
        ticks = 0
        for process in processes:
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended, and counts with the postmaster
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))  # its own and its children's, in user and in kernel mode
        return ticks / os.sysconf("SC_CLK_TCK")

    def _execute(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        url = self._url if database is None else self.url(database)
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def serving(sizes: Mapping[str, int]) -> Iterator[Sandbox]:
    """A sandbox whose companies have that many documents."""
    arguments = [f"{company}={documents}" for company, documents in sizes.items()]
    with _service([sys.executable, "-m", "benchmarks.serve", *arguments], environment()) as process:
        yield Sandbox(_line(process))


@contextmanager
def embedded_postgres(home: Path) -> Iterator[Postgres]:
    """The embedded PostgreSQL, held by a psql that is never told anything more."""
    settings = environment(BILLINGO_HOME=home)
    with _service([str(COMMAND), "database", "psql", "-qAt"], settings) as process:
        if process.stdin:
            process.stdin.write("SELECT 'ready';\n")
            process.stdin.flush()
        _line(process)
        url = subprocess.run(  # noqa: S603
            [COMMAND, "database", "url"], env=settings, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        yield Postgres(url)
    deadline = time.monotonic() + STOP_SECONDS
    while any(home.rglob("postmaster.pid")) and time.monotonic() < deadline:
        time.sleep(0.1)


@contextmanager
def _service(command: list[str], settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env=settings,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline().strip() if process.stdout else ""
    if not line:
        raise RuntimeError(f"{process.args!r} did not start.")
    return line
