"""The names that Dagster stores: assets, jobs, the set of partitions, tags of runs. Imports only declarations."""

from __future__ import annotations

import dagster as dg

from billingo_assets.streams import DOCUMENTS, STREAMS, Stream, documents
from billingo_assets.streams.stream import NormalizedTable

GROUP = "billingo"


def raw_asset_key(stream: Stream) -> dg.AssetKey:
    """The key of the asset of a stream's records as sent."""
    return dg.AssetKey([GROUP, stream.raw])


def table_asset_key(table: NormalizedTable) -> dg.AssetKey:
    """The key of the asset of a table that normalization fills."""
    return dg.AssetKey([GROUP, table.name])


RAW_INVOICES = raw_asset_key(DOCUMENTS)
INVOICES = table_asset_key(documents.INVOICES)
INVOICE_ITEMS = table_asset_key(documents.INVOICE_ITEMS)
STREAM_ASSETS = tuple(
    key
    for stream in STREAMS
    for key in (raw_asset_key(stream), *(table_asset_key(table) for table in stream.tables if table.asset))
)
"""Every asset of every stream: a run of `sync_company` materializes them."""
SYNC_HEALTH = dg.AssetKey([GROUP, "sync_health"])

SYNC_COMPANY = "sync_company"
REFRESH_HEALTH = "refresh_health"
PRUNE_HISTORY = "prune_history"

COMPANIES = "companies"
"""The set of partitions: one for each company, named by its key."""

PARTITION_TAG = "dagster/partition"
"""The tag of a run with its company's key."""
COMPANY_TAG = "company"
"""The tag of a run with its company's name, for people: a partition shows only the key."""
REFUSED_TAG = "refused"
"""The tag of a run that did nothing because its company is disabled or was removed; it says which."""
NOT_REFUSED = "no"
"""The value of that tag if a refused run was launched again, with its tags, and did its work."""
TRIGGER_TAG = "billingo/trigger"
"""The tag of a run that says who started it, for cases that Dagster has no tag for."""
RETRY_TAG = "dagster/retry_on_asset_or_op_failure"
"""The tag that Dagster reads before it retries a failed run. A failure that disallows retries affects only its step."""
