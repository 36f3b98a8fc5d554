"""The run launcher in `dagster.yaml`: the default one, which also knows whether a run is still alive.

With the default launcher, a run stays "started" for ever and keeps its company's place in the queue if its process and
code server die together, or if it is a run of the command line that is killed.
"""

from __future__ import annotations

from contextlib import suppress

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from billingo_assets.run_history.crashes import KILLED
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.database import connecting, open_database
from billingo_assets.warehouse.locks import run_is_alive

ASK_SECONDS = 10


class CheckedRunLauncher(DefaultRunLauncher):
    """Launches runs in processes of the code server, and reports those that are gone to the run monitor."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster asks for the health of runs only if this is true."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives: it holds the run's lock, or its code server says so."""
        with connecting(open_database(load_settings())) as connection:
            alive = run_is_alive(connection, run.run_id)
        if alive or self._server_runs(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, KILLED)

    def _server_runs(self, run: dg.DagsterRun) -> bool:
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return False
        with suppress(DagsterUserCodeUnreachableError):
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ASK_SECONDS)
            return deserialize_value(answer, CanCancelExecutionResult).can_cancel
        return False
