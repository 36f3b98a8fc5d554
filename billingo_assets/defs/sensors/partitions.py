"""The sensor `company_partitions`: keeps the partitions equal to the registry, and starts syncs of new companies."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import dagster as dg

from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.names import COMPANIES, SYNC_COMPANY

if TYPE_CHECKING:
    from billingo_assets.companies.registry import Company
    from billingo_assets.health.rules import Moments

RUN_KEY_TAG = "dagster/run_key"


@dataclass(frozen=True, slots=True)
class PartitionChanges:
    """The changes that make the partitions equal to the registry; each list in alphabetical order."""

    to_add: tuple[str, ...]
    to_remove: tuple[str, ...]


def partition_changes(registered: Set[str], partitions: Set[str], kept: Set[str]) -> PartitionChanges:
    """Compare partitions with the registry. Unregistered ones, such as those added in the UI, go unless `kept`."""
    return PartitionChanges(
        to_add=tuple(sorted(registered - partitions)), to_remove=tuple(sorted(partitions - registered - kept))
    )


def first_syncs(companies: "Iterable[Company]", moments: "Mapping[int, Moments]", busy: Set[str]) -> dict[str, str]:
    """The run keys of the syncs that start automatically, by company.

    These are for companies that are new, enabled, added again or given another rhythm: the next tick of the rhythm may
    be a week away.
    """
    return {
        company.key: f"first/{company.key}/{moments[company.id].expected_since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        for company in companies
        if company.enabled
        and company.schedule != "manual"
        and company.api_key_encrypted is not None
        and company.key not in busy
        and not moments[company.id].is_synced
    }


@dg.sensor(
    name="company_partitions",
    job_name=SYNC_COMPANY,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions equal to the registry, and syncs companies that are new or have a new rhythm.",
)
def company_partitions(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource
) -> dg.SensorResult | dg.SkipReason:
    """Add and remove partitions; request once the first sync of each company that need not wait for a tick."""
    from billingo_assets.companies.registry import list_companies
    from billingo_assets.health.freshness import read_moments
    from billingo_assets.run_history.runs import busy_companies, kept_partitions

    busy = busy_companies(context.instance)  # before the tables are read, which contain a sync that ends meanwhile
    kept = kept_partitions(context.instance)
    with warehouse.connect() as connection:
        companies = list_companies(connection)
        moments = read_moments(connection)
    partitions = set(context.instance.get_dynamic_partitions(COMPANIES))
    registered = {company.key for company in companies}
    changes = partition_changes(registered, partitions, kept)
    waiting = {
        company: run_key
        for company, run_key in first_syncs(companies, moments, busy).items()
        if not _was_asked_for(context.instance, run_key)
    }
    if not (changes.to_add or changes.to_remove or waiting):
        return dg.SkipReason(f"{len(registered):,} companies, and as many partitions.")
    for key in changes.to_remove:
        context.log.info(f"The partition {key} is removed: no company has this key.")
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
        run_requests=[dg.RunRequest(partition_key=company, run_key=run_key) for company, run_key in waiting.items()],
    )


def _was_asked_for(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether the run of a run key exists; Dagster would not start a second one, but would log that at each tick."""
    return bool(instance.get_run_records(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1))
