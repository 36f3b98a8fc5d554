"""The partitions: one for each company, named by its key."""

from __future__ import annotations

import dagster as dg

from billingo_assets.names import COMPANIES

companies_partitions = dg.DynamicPartitionsDefinition(name=COMPANIES)
