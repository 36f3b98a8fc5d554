"""What Dagster runs again when it is told to retry failed runs: only what may pass by itself."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets.settings import project_root
from billingo_assets_tests.orchestration.conftest import SMALL, Sync

RETRIES = "run_retries:\n  enabled: true\n  max_retries: 2\n"


@pytest.fixture
def retrying_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Dagster home whose instance retries failed runs."""
    config = (project_root() / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(f"{config}\n{RETRIES}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("BILLINGO_REQUEST_ATTEMPTS", "1")


def will_retry(instance: dg.DagsterInstance, run_id: str) -> str | None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.tags.get("dagster/will_retry")


def test_a_run_that_failed_for_want_of_an_answer_is_run_again(
    retrying_home: None, sync: Sync, sandbox: SandboxServer, instance: dg.DagsterInstance
) -> None:
    sandbox.faults.add(Fault(kind="drop", path="/v3/documents", times=None))
    assert will_retry(instance, sync(SMALL).run_id) == "true"


@pytest.mark.parametrize("status", [401, 402, 403, 422])
def test_a_run_that_was_refused_is_not_run_again(
    retrying_home: None, sync: Sync, sandbox: SandboxServer, instance: dg.DagsterInstance, status: int
) -> None:
    sandbox.faults.add(Fault(kind="status", status=status, path="/v3/documents", times=None))
    assert will_retry(instance, sync(SMALL).run_id) == "false"
    assert len(sandbox.requests) == 2


def test_a_run_with_another_companys_key_is_not_run_again(
    retrying_home: None, sync: Sync, world: World, instance: dg.DagsterInstance
) -> None:
    world.company(SMALL).tax_code = "99999999-2-42"
    assert will_retry(instance, sync(SMALL).run_id) == "false"
