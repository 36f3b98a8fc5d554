"""The job `sync_company`: one company, from the API to checked tables."""

from __future__ import annotations

import dagster as dg

from billingo_assets.assets.describing import GROUP

SYNC_COMPANY = "sync_company"

sync_company = dg.define_asset_job(
    SYNC_COMPANY,
    selection=dg.AssetSelection.groups(GROUP),
    description="Read every document of one company (the partition), make the tables, check the counts.",
)
