"""The partitions: one a company, named by its key."""

from __future__ import annotations

import dagster as dg

COMPANIES = "companies"
PARTITION_TAG = "dagster/partition"
"""The tag of a run that names its company."""

companies_partitions = dg.DynamicPartitionsDefinition(name=COMPANIES)
