"""The sensor `alerts`: looks at every company and tells what is wrong, once, and when it is over."""

from datetime import UTC, datetime

import dagster as dg

from billingo_assets.dagster_support.resources import WarehouseResource


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells BILLINGO_ALERT_URLS of failed runs, failed checks and companies that are not synced.",
)
def alerts(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SkipReason:
    """See what is out, write down what is to be told of it, send what waits, then call the heartbeat."""
    from billingo_assets.alerts.channels import DeliveryError, call_heartbeat
    from billingo_assets.alerts.sending import send_alerts
    from billingo_assets.settings import load_settings

    settings = load_settings()
    with warehouse.connect() as connection:
        told = send_alerts(connection, context.instance, settings, datetime.now(UTC))
    for failure in told.failures:
        context.log.warning(failure)
    summary = f"{told.out:,} out; {told.delivered:,} messages sent"
    if told.failures:
        return dg.SkipReason(f"{summary}; {len(told.failures)} channels could not be told.")
    if settings.heartbeat_url is not None:
        try:
            call_heartbeat(settings.heartbeat_url)
        except DeliveryError as error:
            context.log.warning(str(error))
            return dg.SkipReason(f"{summary}. {error}")
    return dg.SkipReason(f"{summary}.")
