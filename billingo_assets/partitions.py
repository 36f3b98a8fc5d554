"""The partitions: one a company, named by its key."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

COMPANIES = "companies"
PARTITION_TAG = "dagster/partition"
"""The tag of a run that has its company's key."""
COMPANY_TAG = "company"
"""The tag of a run that has its company's name, for people: a partition is called by the key alone."""
REFUSED_TAG = "refused"
"""The tag of a run that did nothing, which says why: its company is not to be synced."""
NOT_REFUSED = "no"
"""Its value where a run that was refused was run again, with its tags, and did its work."""

companies_partitions = dg.DynamicPartitionsDefinition(name=COMPANIES)


def was_refused(run: dg.DagsterRun) -> bool:
    """Whether a run went through and did nothing, since its company is not to be synced."""
    return run.is_success and run.tags.get(REFUSED_TAG, NOT_REFUSED) != NOT_REFUSED


def companies_of_run(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[str]:
    """The keys of the companies that a run names: one, a range of partitions, or none."""
    if key := run.tags.get(PARTITION_TAG):
        return [key]
    ends = run.tags.get(ASSET_PARTITION_RANGE_START_TAG), run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if ends[0] is None or ends[1] is None:
        return []
    keys = instance.get_dynamic_partitions(COMPANIES)
    return list(keys[keys.index(ends[0]) : keys.index(ends[1]) + 1]) if {*ends} <= {*keys} else []
