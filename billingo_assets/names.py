"""The names that Dagster stores: assets, checks, jobs, the set of partitions, tags of runs. Imports nothing of ours."""

from __future__ import annotations

import dagster as dg

GROUP = "billingo"

RAW_INVOICES = dg.AssetKey([GROUP, "raw_invoices"])
INVOICES = dg.AssetKey([GROUP, "invoices"])
INVOICE_ITEMS = dg.AssetKey([GROUP, "invoice_items"])
SYNC_HEALTH = dg.AssetKey([GROUP, "sync_health"])

SYNC_COMPANY = "sync_company"
REFRESH_HEALTH = "refresh_health"
PRUNE_HISTORY = "prune_history"

COMPANIES = "companies"
"""The set of partitions: one a company, named by its key."""

PARTITION_TAG = "dagster/partition"
"""The tag of a run that has its company's key."""
COMPANY_TAG = "company"
"""The tag of a run that has its company's name, for people: a partition is called by the key alone."""
REFUSED_TAG = "refused"
"""The tag of a run that did nothing, which says why: its company is not to be synced."""
NOT_REFUSED = "no"
"""Its value where a run that was refused was run again, with its tags, and did its work."""
TRIGGER_TAG = "billingo/trigger"
"""The tag of a run that says who started it, where Dagster has none for it."""
RETRY_TAG = "dagster/retry_on_asset_or_op_failure"
"""What Dagster asks before it runs a failed run again; that a failure disallows retries concerns its step alone."""
