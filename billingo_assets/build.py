"""Assembles the code location: assets, checks, jobs, resources. Doing so touches neither network nor database."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from billingo_assets.assets.invoices import normalized_invoices
from billingo_assets.assets.raw_invoices import raw_invoices
from billingo_assets.checks.invoices import item_count_matches_raw, one_row_per_document, totals_reconcile
from billingo_assets.checks.raw_invoices import api_total_matches, no_number_gaps, no_rejected_documents
from billingo_assets.jobs import sync_company
from billingo_assets.resources import BillingoResource, ProgressLog, WarehouseResource


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Assemble the code location; `resource_overrides` replaces resources by key."""
    return dg.Definitions(
        assets=[raw_invoices, normalized_invoices],
        asset_checks=[
            api_total_matches,
            no_rejected_documents,
            no_number_gaps,
            one_row_per_document,
            totals_reconcile,
            item_count_matches_raw,
        ],
        jobs=[sync_company],
        resources={
            "billingo": BillingoResource(),
            "warehouse": WarehouseResource(),
            "progress": ProgressLog(),
            **(resource_overrides or {}),
        },
        # The steps of a run are short and follow one another: a process for each would cost ten times the work.
        executor=dg.in_process_executor,
    )
