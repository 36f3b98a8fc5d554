"""The asset `billingo/sync_health`: the state of all companies as a table, and plots of the last 30 days."""

import dagster as dg

from billingo_assets.dagster_support.failures import failing_in_words
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.assets.metadata import OWNERS
from billingo_assets.names import GROUP, STREAM_ASSETS, SYNC_HEALTH


@dg.asset(
    key=SYNC_HEALTH,
    deps=[*STREAM_ASSETS],
    group_name=GROUP,
    kinds={"postgres"},
    owners=OWNERS,
)
def sync_health(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """All companies, the worst first, with problems, last and next sync, and documents; plots of the last 30 days.

    A sensor updates it whenever all syncs have ended.
    """
    from datetime import UTC, datetime

    from billingo_assets.health.overview import describe, read_overview
    from billingo_assets.health.plotting import plot_days, read_days
    from billingo_assets.settings import load_settings

    settings, now = load_settings(), datetime.now(UTC)
    with failing_in_words(context), warehouse.connect() as connection:
        overview = read_overview(connection, context.instance, settings, now)
    days = read_days(context.instance, now, settings.zone)
    colors = [state.color for state in overview]
    return dg.MaterializeResult(
        metadata={
            "companies": dg.MetadataValue.table([dg.TableRecord(row) for row in describe(overview, settings)]),
            **{name: dg.MetadataValue.md(plot) for name, plot in plot_days(days).items()},
            "documents": sum(state.documents for state in overview),
            **{color: colors.count(color) for color in ("green", "yellow", "red")},
        }
    )
