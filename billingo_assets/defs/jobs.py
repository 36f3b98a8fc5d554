"""The jobs.

`sync_company` brings one company from the API to checked tables, `refresh_health` updates the overview of all
companies, `prune_history` deletes old runs.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.names import (
    PRUNE_HISTORY,
    REFRESH_HEALTH,
    STREAM_ASSETS,
    SYNC_COMPANY,
    SYNC_HEALTH,
)
from billingo_assets.settings import load_settings

sync_company = dg.define_asset_job(
    SYNC_COMPANY,
    selection=dg.AssetSelection.assets(*STREAM_ASSETS),
    description="Bring one company (the partition) up to date: read its documents, make the tables, check the counts.",
)

refresh_health = dg.define_asset_job(
    REFRESH_HEALTH,
    selection=dg.AssetSelection.assets(SYNC_HEALTH),
    description="Updates the table of all companies and the plots of the last 30 days.",
)


@dg.op(description="Deletes runs older than BILLINGO_RETENTION_DAYS, except those that show a company's present state.")
def prune_old_runs(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
    """Delete history that is older than the settings keep."""
    from billingo_assets.alerts.outages import prune_outages
    from billingo_assets.run_history.pruning import prune_runs

    before = datetime.now(UTC) - timedelta(days=load_settings().retention_days)
    pruned = prune_runs(context.instance, before)
    with warehouse.connect() as connection, connection.begin():
        messages = prune_outages(connection, before)
    context.add_output_metadata({"runs": pruned.runs, "kept": pruned.kept, "messages": messages})
    context.log.info(f"{pruned.runs:,} runs were deleted; {pruned.kept:,} old ones show a present state and were kept.")


@dg.job(name=PRUNE_HISTORY, description="Keeps the history of runs to BILLINGO_RETENTION_DAYS.")
def prune_history_job() -> None:
    """One op."""
    prune_old_runs()
