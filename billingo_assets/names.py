"""The names that Dagster stores: assets, jobs, the set of partitions, tags of runs. Imports declarations alone."""

from __future__ import annotations

import dagster as dg

from billingo_assets.streams import DOCUMENTS, STREAMS, Stream, documents
from billingo_assets.streams.stream import NormalizedTable

GROUP = "billingo"


def raw_asset_key(stream: Stream) -> dg.AssetKey:
    """The asset of a stream's records as sent."""
    return dg.AssetKey([GROUP, stream.raw])


def table_asset_key(table: NormalizedTable) -> dg.AssetKey:
    """The asset of a table that normalization makes."""
    return dg.AssetKey([GROUP, table.name])


RAW_INVOICES = raw_asset_key(DOCUMENTS)
INVOICES = table_asset_key(documents.INVOICES)
INVOICE_ITEMS = table_asset_key(documents.INVOICE_ITEMS)
STREAM_ASSETS = tuple(
    key
    for stream in STREAMS
    for key in (raw_asset_key(stream), *(table_asset_key(table) for table in stream.tables if table.asset))
)
"""Every asset of every stream: what a run of `sync_company` materializes."""
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
