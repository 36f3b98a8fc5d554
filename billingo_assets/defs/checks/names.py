"""Every asset check of the project, by its key, and the runs that execute nothing else."""

from __future__ import annotations

import dagster as dg

from billingo_assets.defs.assets.describing import INVOICE_ITEMS, INVOICES, RAW_INVOICES

CHECKS = tuple(
    dg.AssetCheckKey(asset, name)
    for asset, names in (
        (
            RAW_INVOICES,
            ("tax_code_matches", "api_total_matches", "no_rejected_documents", "no_number_gaps"),
        ),
        (INVOICES, ("one_row_per_document", "totals_reconcile")),
        (INVOICE_ITEMS, ("item_count_matches_raw",)),
    )
    for name in names
)
"""Those that judge a company's documents. `synced_recently`, which judges their age, follows from the clock."""


def only_executes_checks(run: dg.DagsterRun) -> bool:
    """Whether a run makes no asset: "Execute all" on a page of checks launches such a run, without a company."""
    return bool(run.asset_check_selection) and not run.asset_selection
