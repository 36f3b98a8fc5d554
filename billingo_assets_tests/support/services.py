"""The UI and the daemon as processes, driven over GraphQL as the UI in the browser does. No tests here."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from pydantic import SecretStr
from sqlalchemy import URL, Engine

from billingo_assets.companies import registry
from billingo_assets.project import project_root
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets.settings import Settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.database import open_database
from billingo_assets.warehouse.normalized import count_rows
from billingo_assets.warehouse.sums import sums_by_currency
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until

PROGRAM = Path(sys.executable).with_name("billingo-assets")
FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}

CODE_LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "billingo_assets"}
ASSETS = [{"path": ["billingo", name]} for name in ("raw_invoices", "invoices", "invoice_items")]

LOCATIONS = """
    query { workspaceOrError { ... on Workspace { locationEntries {
        name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""
LAUNCH = """
    mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }
"""
REEXECUTE = """
    mutation ($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) {
        __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }
"""
BACKFILL = """
    mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
        __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
BACKFILL_RUNS = """
    query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
        runs { runId status tags { key value } } } } }
"""
RUN = """
    query ($id: ID!) { runOrError(runId: $id) { ... on Run {
        id status jobName tags { key value } repositoryOrigin { repositoryName repositoryLocationName } } } }
"""
CHECK_STATUSES = """
    query { assetNodes(assetKeys: [{path: ["billingo", "invoices"]}]) { assetChecksOrError { ... on AssetChecks {
        checks { name partitionStatuses { ... on AssetCheckDefaultPartitionStatuses {
            succeededPartitions failedPartitions } } } } } } }
"""


@dataclass(frozen=True)
class Place:
    """What the services work on: a database and a home of their own, the sandbox as the API."""

    url: URL
    home: Path
    world: World
    api_url: str
    variables: Mapping[str, str] = field(default_factory=dict)
    sandbox: SandboxServer | None = None

    @property
    def settings(self) -> Settings:
        return Settings(
            database_url=SecretStr(self.url.render_as_string(hide_password=False)), home=self.home, api_url=self.api_url
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that works here, and of nothing else that is set outside."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("BILLINGO_", "DAGSTER_"))}
        return outside | {
            "BILLINGO_DATABASE_URL": self.url.render_as_string(hide_password=False),
            "BILLINGO_HOME": str(self.home),
            "BILLINGO_API_URL": self.api_url,
            "BILLINGO_REQUESTS_PER_MINUTE": "0",
            **self.variables,
        }

    def with_variables(self, **more: str) -> Place:
        return replace(self, variables={**self.variables, **more})

    def with_dagster_home(self, folder: Path, **parts: dict[str, Any]) -> Place:
        """The same place with a DAGSTER_HOME of its own, whose `dagster.yaml` has other values in these parts.

        The daemon looks after runs every second or two there, not every 30 and 5.
        """
        folder.mkdir()
        config = yaml.safe_load((project_root() / "dagster.yaml").read_text())
        config["run_monitoring"]["poll_interval_seconds"] = 2
        for part, values in parts.items():
            config[part] |= values
        (folder / "dagster.yaml").write_text(yaml.safe_dump(config))
        return self.with_variables(DAGSTER_HOME=str(folder), DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS="1")

    def register_companies(self) -> None:
        with self.engine.begin() as connection:
            keyring = registry.keyring_for(connection, self.settings)
            for invented in self.world.companies:
                registry.add_company(
                    connection,
                    key=invented.key,
                    name=invented.name,
                    tax_code=invented.tax_code,
                    api_key_encrypted=keyring.encrypt(SecretStr(invented.api_key)),
                )

    @property
    def engine(self) -> Engine:
        return open_database(self.settings)

    def held(self, key: str) -> dict[str, Any]:
        """What the tables hold of a company: documents, lines, and the sums by currency."""
        with self.engine.connect() as connection:
            company = registry.get_company(connection, key)
            rows = count_rows(connection, DOCUMENTS, company.id)
            sums = sums_by_currency(connection, company.id)
        return {
            "documents": rows["invoices"],
            "items": rows["invoice_items"],
            "sums": {name: tuple(sums[name]) for name in sums},
        }

    def booked(self, key: str) -> dict[str, Any]:
        """What the sandbox's ledger says of a company, in the same form."""
        ledger = self.world.company(key).ledger()
        sums = {name: (told.documents, told.gross, told.net, told.vat) for name, told in ledger.currencies.items()}
        return {"documents": ledger.documents, "items": ledger.items, "sums": sums}


@dataclass(frozen=True)
class Services:
    """The running services, as the browser meets them."""

    process: subprocess.Popen[bytes]
    port: int
    place: Place

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: Any) -> Any:
        """Send a query and return the one thing it asks for."""
        asked = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=asked, timeout=PATIENCE_SECONDS).json()
        assert "errors" not in answer, answer["errors"]
        (told,) = answer["data"].values()
        return told

    def locations(self) -> list[dict[str, Any]] | None:
        """The code locations, once all are loaded; None before."""
        try:
            entries: list[dict[str, Any]] = self.ask(LOCATIONS)["locationEntries"]
        except httpx.TransportError:
            assert self.process.poll() is None, "the services ended"
            return None
        return entries if entries and all(entry["loadStatus"] == "LOADED" for entry in entries) else None

    def finished_run(self, run_id: str) -> dict[str, Any]:
        """A run, once it has ended."""

        def ended() -> dict[str, Any] | None:
            run: dict[str, Any] = self.ask(RUN, id=run_id)
            return run if run["status"] in FINISHED else None

        return until(ended, what=f"the end of run {run_id}")

    def launch(self, company: str, **selector: Any) -> str:
        """Launch a run for a company; returns its id."""
        launched = self.ask(LAUNCH, params=_of_company(company, selector))
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["id"]
        return run_id

    def try_to_launch(self, company: str) -> str | None:
        """Launch a run of the job for a company; None while the services cannot."""
        params = _of_company(company, {"jobName": "sync_company"})
        try:
            answer = httpx.post(
                f"{self.url}/graphql", json={"query": LAUNCH, "variables": {"params": params}}, timeout=PATIENCE_SECONDS
            ).json()
            run_id: str = answer["data"]["launchRun"]["run"]["id"]
        except (httpx.TransportError, ValueError, KeyError, TypeError):
            return None
        return run_id


def _still_runs(process: psutil.Process) -> str | None:
    """The command of a process; None if it has ended, even if nobody has asked for its exit code."""
    try:
        return shlex.join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def _of_company(company: str, selector: dict[str, Any]) -> dict[str, Any]:
    return {
        "selector": CODE_LOCATION | selector,
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": company}]},
    }


def partition_of(run: dict[str, Any]) -> str:
    """The company that a run is for."""
    return next(tag["value"] for tag in run["tags"] if tag["key"] == "dagster/partition")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def hanging_up_heard() -> Iterator[None]:
    """Let processes that are started hear SIGHUP, although the tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def running_services(
    place: Place, *options: str, end: signal.Signals = signal.SIGTERM, within: Sequence[str] = ()
) -> Iterator[Services]:
    """Run `billingo-assets dev`, with the options, until the block ends, from when its code location is loaded.

    `within` is a command that becomes the one it is given.

    The signal that ends it must end every process that it started, cleanly: what is left fails the test. SIGKILL is
    for them all, as when the machine dies.
    """
    port = free_port()
    with place.home.with_suffix(".log").open("wb") as output, hanging_up_heard():
        process = subprocess.Popen(
            [*within, PROGRAM, "dev", "--port", str(port), *options],
            env=place.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    services = Services(process, port, place)
    try:
        until(services.locations, what="the code location")
        yield services
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in reversed(family) if end is signal.SIGKILL else [process]:
            one.send_signal(end)
        _, left = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        told = [words for one in left if (words := _still_runs(one))]
        for one in left:
            one.kill()
    code = process.wait(PATIENCE_SECONDS)
    assert told == []
    assert code == 0 or end is signal.SIGKILL
