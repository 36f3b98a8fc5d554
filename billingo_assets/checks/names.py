"""Every asset check of the project, by its key."""

from __future__ import annotations

import dagster as dg

from billingo_assets.assets.describing import INVOICE_ITEMS, INVOICES, RAW_INVOICES

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
