"""The sensor `alerts`: checks every company, reports each problem once, and its end once."""

from datetime import UTC, datetime

import dagster as dg

from billingo_assets.dagster_support.resources import WarehouseResource


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports failed runs, failed checks and companies that are not synced to BILLINGO_ALERT_URLS.",
)
def alerts(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SkipReason:
    """Look for problems, write messages about new ones, send waiting messages, then call the heartbeat."""
    from billingo_assets.alerts.channels import DeliveryError, call_heartbeat
    from billingo_assets.alerts.sending import send_alerts
    from billingo_assets.settings import load_settings

    settings = load_settings()
    with warehouse.connect() as connection:
        sent = send_alerts(connection, context.instance, settings, datetime.now(UTC))
    for failure in sent.failures:
        context.log.warning(failure)
    summary = f"{sent.out:,} out; {sent.delivered:,} messages sent"
    if sent.failures:
        return dg.SkipReason(f"{summary}; {len(sent.failures)} channels could not be reached.")
    if settings.heartbeat_url is not None:
        try:
            call_heartbeat(settings.heartbeat_url)
        except DeliveryError as error:
            context.log.warning(str(error))
            return dg.SkipReason(f"{summary}. {error}")
    return dg.SkipReason(f"{summary}.")
