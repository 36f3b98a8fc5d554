"""The contenders: how each is started, and whether it did its work. All write to the same PostgreSQL, unpaced."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Finished, Sample, run
from benchmarks.services import COMMAND, PROJECT, Postgres, Sandbox, environment

CONCURRENT_REQUESTS = 4
"""The default of `billingo-assets`."""

HERE = Path(__file__).resolve().parent
DLT_PYTHON = PROJECT / ".venv-bench" / "bin" / "python"


@dataclass(frozen=True)
class Contenders:
    """All of them, on the same services."""

    sandbox: Sandbox
    postgres: Postgres
    home: Path

    def register(self, database: str, companies: Iterable[str]) -> None:
        """Make a database for `ours`, with these companies and no documents in it."""
        self.postgres.make(database)
        settings = self._settings(database)
        run([COMMAND, "database", "upgrade"], environment=settings, folder=PROJECT)
        keys = {company: self.sandbox.api_keys[company] for company in companies}
        run([sys.executable, "-m", "benchmarks.register"], environment=settings, folder=PROJECT, told=json.dumps(keys))

    def ours(
        self, database: str, companies: Collection[str], *, concurrent: int = CONCURRENT_REQUESTS, updated: int = 0
    ) -> Sample:
        """`billingo-assets sync` of these companies, the only ones in the database that have documents.

        `updated` is how many documents it must find changed. The inner seconds are the companies' own, added up.
        """
        finished, requests, postgres = self._measured(
            [COMMAND, "sync", "--json", *companies],
            self._settings(database) | {"BILLINGO_CONCURRENT_REQUESTS": str(concurrent)},
            PROJECT,
        )
        results: list[dict[str, Any]] = json.loads(finished.output)["companies"]
        _expect("companies", len(results), len(companies))
        _expect("documents updated", sum(result["updated"] for result in results), updated)
        self._expect_all(database, "billingo.invoices WHERE deleted_at IS NULL", companies)
        return _sample(finished, sum(result["duration_seconds"] for result in results), requests, postgres)

    def demo(self) -> Sample:
        """`billingo-assets demo` in an empty folder, with a PostgreSQL of its own."""
        with TemporaryDirectory(prefix="billingo-bench-demo-", ignore_cleanup_errors=True) as home:
            finished, requests, postgres = self._measured([COMMAND, "demo"], environment(BILLINGO_HOME=home), PROJECT)
        return _sample(finished, finished.wall_seconds, requests, postgres)

    def dlt(self, company: str) -> Sample:
        """The same with dlt, into a database of its own. See `dlt_pipeline`."""
        with TemporaryDirectory(prefix="billingo-bench-dlt-") as directory:
            return self._program([DLT_PYTHON, "-P", HERE / "dlt_pipeline.py"], company, "bench.documents", [directory])

    def floor(self, company: str) -> Sample:
        """The least that can be done, into a database of its own. See `floor`."""
        return self._program([sys.executable, "-P", HERE / "floor.py"], company, "documents", ["payloads"])

    def floor_of_tables(self, company: str) -> Sample:
        """The least that makes the same tables, into a database of its own. See `floor`."""
        return self._program([sys.executable, "-P", HERE / "floor.py"], company, "invoices", ["tables"])

    def _program(self, program: list[str | Path], company: str, table: str, more: list[str]) -> Sample:
        database = "contender"
        url = self.postgres.make(database)
        key = self.sandbox.api_keys[company]
        arguments = [self.sandbox.api_url, key, url, str(CONCURRENT_REQUESTS), *more]
        finished, requests, postgres = self._measured([*program, *arguments], environment(), self.home)
        self._expect_all(database, table, [company])
        self.postgres.drop(database)
        return _sample(finished, float(finished.output.split()[-1]), requests, postgres)

    def _measured(
        self, command: list[str | Path], settings: dict[str, str], folder: Path
    ) -> tuple[Finished, int, float]:
        self.postgres.settle()
        before, spent = self.sandbox.count_requests(), self.postgres.cpu_seconds()
        finished = run(command, environment=settings, folder=folder)
        return finished, self.sandbox.count_requests() - before, self.postgres.cpu_seconds() - spent

    def _settings(self, database: str) -> dict[str, str]:
        return environment(
            BILLINGO_HOME=self.home,
            BILLINGO_API_URL=self.sandbox.api_url,
            BILLINGO_DATABASE_URL=self.postgres.url(database),
            BILLINGO_REQUESTS_PER_MINUTE=0,
        )

    def _expect_all(self, database: str, rows: str, companies: Collection[str]) -> None:
        expected = sum(self.sandbox.documents(company) for company in companies)
        _expect(f"rows of {rows}", self.postgres.count(database, rows), expected)


def _sample(finished: Finished, inner_seconds: float, requests: int, postgres: float) -> Sample:
    return Sample(finished.wall_seconds, inner_seconds, finished.cpu_seconds, finished.peak_mib, requests, postgres)


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"The measurement is worth nothing: {found:,} {what}, expected {expected:,}.")
