"""What Dagster runs again, as the project's `dagster.yaml` tells it to: only what may pass by itself."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from billingo_assets.names import SYNC_COMPANY
from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets_tests.support.dagster_runs import SMALL, Sync

Launch = Callable[[], str | None]


@pytest.fixture
def launch(live_defs: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Run the small company as schedules and the UI do, and tell whether it will be run again."""
    monkeypatch.setenv("BILLINGO_REQUEST_ATTEMPTS", "1")
    job = live_defs.resolve_job_def(SYNC_COMPANY)
    return lambda: will_retry(
        instance, job.execute_in_process(instance=instance, partition_key=SMALL, raise_on_error=False).run_id
    )


def will_retry(instance: dg.DagsterInstance, run_id: str) -> str | None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.tags.get("dagster/will_retry")


def test_a_run_that_failed_for_want_of_an_answer_is_run_again(launch: Launch, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="drop", path="/v3/documents", times=None))
    assert launch() == "true"


@pytest.mark.parametrize("status", [401, 402, 403, 422])
def test_a_run_that_was_refused_is_not_run_again(launch: Launch, sandbox: SandboxServer, status: int) -> None:
    sandbox.faults.add(Fault(kind="status", status=status, path="/v3/documents", times=None))
    assert launch() == "false"
    assert len(sandbox.requests) == 2


def test_a_run_with_another_companys_key_is_not_run_again(launch: Launch, world: World) -> None:
    world.company(SMALL).tax_code = "99999999-2-42"
    assert launch() == "false"


def test_a_run_of_the_command_is_not_run_again_behind_the_back_of_who_was_told_that_it_failed(
    sync: Sync, sandbox: SandboxServer, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_REQUEST_ATTEMPTS", "1")
    sandbox.faults.add(Fault(kind="drop", path="/v3/documents", times=None))
    assert will_retry(instance, sync(SMALL).run_id) == "false"
