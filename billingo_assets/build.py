"""Assembles the code location. Doing so reads the settings, but touches neither network nor database."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from billingo_assets.dagster_support import errors as dagster_errors
from billingo_assets.defs.assets.invoices import normalized_invoices
from billingo_assets.defs.assets.raw_invoices import raw_invoices
from billingo_assets.defs.assets.sync_health import sync_health
from billingo_assets.defs.checks.invoices import item_count_matches_raw, one_row_per_document, totals_reconcile
from billingo_assets.defs.checks.raw_invoices import (
    api_total_matches,
    no_number_gaps,
    no_rejected_documents,
    synced_recently,
)
from billingo_assets.defs.jobs import prune_history_job, refresh_health, sync_company
from billingo_assets.dagster_support.resources import BillingoResource, ProgressLog, WarehouseResource
from billingo_assets.defs.schedules import build_schedules
from billingo_assets.defs.sensors.alerts import alerts
from billingo_assets.defs.sensors.freshness import freshness
from billingo_assets.defs.sensors.health import health_table
from billingo_assets.defs.sensors.partitions import company_partitions
from billingo_assets.settings import load_settings


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble the code location; `resource_overrides` replaces resources by key."""
    dagster_errors.install()
    return dg.Definitions(
        assets=[raw_invoices, normalized_invoices, sync_health],
        asset_checks=[
            api_total_matches,
            no_rejected_documents,
            no_number_gaps,
            synced_recently,
            one_row_per_document,
            totals_reconcile,
            item_count_matches_raw,
        ],
        jobs=[sync_company, refresh_health, prune_history_job],
        schedules=build_schedules(load_settings()),
        sensors=[company_partitions, freshness, alerts, health_table],
        resources={
            "billingo": BillingoResource(),
            "warehouse": WarehouseResource(),
            "progress": ProgressLog(),
            **(resource_overrides or {}),
        },
        # The steps of a run are short and follow one another: a process for each would cost ten times the work.
        executor=dg.in_process_executor,
    )
