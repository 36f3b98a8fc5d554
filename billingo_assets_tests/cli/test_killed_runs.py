"""A `billingo-assets sync` that is killed: its run is closed by the next one of the company, and by no other."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from billingo_assets.companies.registry import Company
from billingo_assets.sandbox import Fault, SandboxServer
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.dagster_runs import defs, live_defs
from billingo_assets_tests.support.past_runs import leave_run
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until

__all__ = ["defs", "live_defs"]

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))
SMALL, LARGE = "ozon-bt", "arvizturo"
KILLED = "  error: Its process was killed. The data stored so far is kept; the next run continues from there.\n"

Status = Callable[[str], dg.DagsterRunStatus]


@contextmanager
def syncing(sandbox: SandboxServer) -> Iterator[subprocess.Popen[bytes]]:
    """A process that syncs the small company and has come to wait for its first page; it is killed at the end."""
    sandbox.requests.clear()
    sandbox.faults.add(Fault(kind="stall", path="/v3/documents", company=SMALL, seconds=PATIENCE_SECONDS))
    process = subprocess.Popen([COMMAND, "sync", SMALL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def asked() -> bool | None:
        assert process.poll() is None, "it ended before it was killed"
        return any(request.path == "/v3/documents" for request in sandbox.requests) or None

    until(asked, what="its first request")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def status(instance: dg.DagsterInstance) -> Status:
    """How a run is, by its id."""

    def read(run_id: str) -> dg.DagsterRunStatus:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    return read


def newest(instance: dg.DagsterInstance) -> str:
    return instance.get_run_records(limit=1)[0].dagster_run.run_id


def test_a_run_that_was_killed_is_closed_in_words_by_the_next_sync_of_its_company_and_by_no_other(
    command: Command,
    companies: dict[str, Company],
    sandbox: SandboxServer,
    instance: dg.DagsterInstance,
    status: Status,
) -> None:
    with syncing(sandbox):
        killed = newest(instance)
    assert status(killed) is dg.DagsterRunStatus.STARTED
    command("sync", LARGE)
    assert status(killed) is dg.DagsterRunStatus.STARTED
    assert command("sync", SMALL).code == 0
    assert status(killed) is dg.DagsterRunStatus.FAILURE
    answer = command("history", "--failed")
    assert KILLED in answer.out


def test_a_run_that_was_killed_is_closed_by_the_daemon_in_the_same_words(
    command: Command,
    companies: dict[str, Company],
    sandbox: SandboxServer,
    instance: dg.DagsterInstance,
    status: Status,
) -> None:
    with syncing(sandbox):
        killed = newest(instance)
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as daemon:
        list(execute_run_monitoring_iteration(daemon, logging.getLogger("monitor")))
    assert status(killed) is dg.DagsterRunStatus.FAILURE
    answer = command("history", "--failed")
    assert (KILLED in answer.out, "Detected" in answer.out) == (True, False)


def test_a_run_that_lives_is_left_alone_by_another_sync_of_its_company(
    command: Command,
    companies: dict[str, Company],
    sandbox: SandboxServer,
    instance: dg.DagsterInstance,
    status: Status,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BILLINGO_LOCK_WAIT_SECONDS", "0")
    with syncing(sandbox):
        living = newest(instance)
        answer = command("sync", SMALL)
        assert (answer.code, f"{SMALL} is in use by run {living}" in answer.out) == (1, True)
        assert "documents processed (" not in answer.out, "it did not begin"
        assert status(living) is dg.DagsterRunStatus.STARTED


def test_a_run_that_the_daemon_looks_after_is_not_closed_by_the_command(
    command: Command,
    companies: dict[str, Company],
    instance: dg.DagsterInstance,
    live_defs: dg.Definitions,
    status: Status,
) -> None:
    job = live_defs.resolve_job_def("sync_company")
    daemons = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=SMALL).run_id
    command("sync", SMALL)
    assert status(daemons) is dg.DagsterRunStatus.STARTED
