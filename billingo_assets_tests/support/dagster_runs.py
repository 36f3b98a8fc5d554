"""What the tests of the Dagster side share: the code location, runs of it, and what the instance remembers of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support import in_process as runs
from billingo_assets.definitions import build_defs
from billingo_assets.names import INVOICE_ITEMS, INVOICES, RAW_INVOICES, SYNC_COMPANY
from billingo_assets.run_history.outcomes import Outcome

SMALL = "ozon-bt"
"""The company with the fewest documents: one page."""
LARGE = "arvizturo"
"""A company with several pages."""

CHECKS = {
    "api_total_matches": RAW_INVOICES,
    "no_rejected_documents": RAW_INVOICES,
    "no_number_gaps": RAW_INVOICES,
    "synced_recently": RAW_INVOICES,
    "tax_code_matches": RAW_INVOICES,
    "one_row_per_document": INVOICES,
    "totals_reconcile": INVOICES,
    "item_count_matches_raw": INVOICE_ITEMS,
}

Sync = Callable[..., Outcome]


@pytest.fixture(scope="session")
def migrated_template(dagster_template: str) -> str:
    """Databases here have Dagster's tables from the start."""
    return dagster_template


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    """The code location, of which nothing but the schedules depends on settings when it is loaded."""
    return build_defs()


@pytest.fixture(scope="session")
def job(defs: dg.Definitions) -> dg.JobDefinition:
    """The job that syncs a company, not to be run."""
    return defs.resolve_job_def(SYNC_COMPANY)


@pytest.fixture
def live_defs(defs: dg.Definitions, instance: dg.DagsterInstance) -> dg.Definitions:
    """The code location, to be run: its resources read the settings, and so find the test's sandbox and database."""
    return defs


@pytest.fixture
def sync(live_defs: dg.Definitions, companies: dict[str, Company], instance: dg.DagsterInstance) -> Sync:
    """Sync a company, named by its key, as the command does."""
    job = live_defs.resolve_job_def(SYNC_COMPANY)
    return lambda key, **options: runs.sync(companies[key], job=job, instance=instance, **options)


def execute_checks(
    defs: dg.Definitions, instance: dg.DagsterInstance, names: Iterable[str], **tags: str
) -> dg.JobExecutionResult:
    """Execute checks and no asset, as the UI does; a tag may name the company."""
    keys = {dg.AssetCheckKey(CHECKS[name], name) for name in names}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection=keys)
    plan = create_execution_plan(job, tags=tags)
    run = instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config={},
        status=None,
        tags=tags,
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=snapshot_from_execution_plan(plan, job.get_job_snapshot_id()),
        job_snapshot=job.get_job_snapshot(),
        parent_job_snapshot=job.get_parent_job_snapshot(),
        asset_selection=frozenset(),
        asset_check_selection=frozenset(keys),
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=None,
        job_code_origin=None,
        asset_graph=job.asset_layer.asset_graph,
    )
    return execute_run(InMemoryJob(job), run, instance)


def statuses(instance: dg.DagsterInstance, check: str) -> dict[str | None, AssetCheckExecutionRecordStatus | None]:
    """The last status of a check for each company that has one, from where the UI has it."""
    key = dg.AssetCheckKey(CHECKS[check], check)
    rows = instance.event_log_storage.get_asset_check_partition_info([key])
    return {row.partition_key: row.latest_execution_status for row in rows}


def materializations(instance: dg.DagsterInstance, asset: dg.AssetKey, company: str) -> list[dict[str, Any]]:
    """The metadata of a company's materializations of an asset, the newest first."""
    records = instance.fetch_materializations(dg.AssetRecordsFilter(asset, asset_partitions=[company]), limit=10)
    return [
        {name: value.value for name, value in record.asset_materialization.metadata.items()}
        for record in records.records
        if record.asset_materialization
    ]


def told(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What a run's log tells in our own words, in order."""
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]
