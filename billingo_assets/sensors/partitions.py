"""The sensor `company_partitions`: keeps the partitions equal to the registry, and has new companies synced."""

from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from billingo_assets.jobs import SYNC_COMPANY
from billingo_assets.partitions import COMPANIES, PARTITION_TAG, companies_partitions
from billingo_assets.resources import WarehouseResource

if TYPE_CHECKING:
    from billingo_assets.companies.registry import Company


@dataclass(frozen=True, slots=True)
class PartitionChanges:
    """What has to be done for the partitions to be those of the registry; each in the order of the alphabet."""

    to_add: tuple[str, ...]
    to_remove: tuple[str, ...]


def partition_changes(registered: Set[str], partitions: Set[str], busy: Set[str]) -> PartitionChanges:
    """Compare. A partition whose run is going stays until that has ended: it would fail for want of it."""
    return PartitionChanges(
        to_add=tuple(sorted(registered - partitions)), to_remove=tuple(sorted(partitions - registered - busy))
    )


def never_synced(companies: "Collection[Company]", synced: Set[int]) -> "list[Company]":
    """The companies that wait for their first sync and need not be asked for it by hand."""
    return [
        company
        for company in companies
        if company.enabled
        and company.schedule != "manual"
        and company.api_key_encrypted is not None
        and company.id not in synced
    ]


@dg.sensor(
    name="company_partitions",
    job_name=SYNC_COMPANY,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions equal to the registry, and starts the first sync of a new company.",
)
def company_partitions(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource
) -> dg.SensorResult | dg.SkipReason:
    """Add and remove partitions; ask for the first sync of each company that had none, once."""
    from billingo_assets.companies.registry import list_companies
    from billingo_assets.monitoring.reading import busy_companies
    from billingo_assets.warehouse.sync_state import synced_companies

    with warehouse.connect() as connection:
        companies = list_companies(connection)
        synced = synced_companies(connection)
    partitions = set(context.instance.get_dynamic_partitions(COMPANIES))
    registered = {company.key for company in companies}
    busy = busy_companies(context.instance) if partitions - registered else set()
    changes = partition_changes(registered, partitions, busy)
    waiting = [company for company in never_synced(companies, synced) if not _has_run(context.instance, company.key)]
    if not (changes.to_add or changes.to_remove or waiting):
        return dg.SkipReason(f"{len(registered):,} companies, and as many partitions.")
    requests = [
        change
        for change in (
            companies_partitions.build_add_request(list(changes.to_add)) if changes.to_add else None,
            companies_partitions.build_delete_request(list(changes.to_remove)) if changes.to_remove else None,
        )
        if change is not None
    ]
    return dg.SensorResult(
        dynamic_partitions_requests=requests,
        run_requests=[
            dg.RunRequest(partition_key=company.key, run_key=f"first/{company.key}/{company.id}") for company in waiting
        ],
    )


def _has_run(instance: dg.DagsterInstance, key: str) -> bool:
    """Whether anybody asked for the company already, the command line say."""
    return bool(instance.get_run_records(dg.RunsFilter(tags={PARTITION_TAG: key}), limit=1))
