"""The schedules: one for each rhythm of companies, one for the weekly full syncs, one for maintenance."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

import dagster as dg

from billingo_assets.companies.schedule import Schedule, cron_line
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.jobs import prune_history_job
from billingo_assets.names import COMPANIES, RAW_INVOICES, SYNC_COMPANY
from billingo_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from billingo_assets.companies.registry import Company

RHYTHMS: tuple[Schedule, ...] = ("daily", "twice-daily", "hourly", "weekly")

READ_EVERYTHING = {"ops": {RAW_INVOICES.to_python_identifier(): {"config": {"full": True}}}}


@dg.definitions
def schedules() -> dg.Definitions:
    """Return every schedule from the settings."""
    return dg.Definitions(schedules=build_schedules(load_settings()))


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Build every schedule, running from the start, in the settings' time zone."""
    return [
        *(_of_rhythm(rhythm, settings) for rhythm in RHYTHMS),
        _of_companies(
            "full",
            settings.cron_full,
            settings,
            wanted=lambda company: company.schedule != "manual",
            run_config=READ_EVERYTHING,
            description="Reads every document of every enabled company, except for those with the rhythm manual.",
        ),
        dg.ScheduleDefinition(
            name="maintenance",
            job=prune_history_job,
            cron_schedule=settings.cron_maintenance,
            execution_timezone=settings.timezone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Prunes the history of runs older than {settings.retention_days} days.",
        ),
    ]


def _of_rhythm(rhythm: Schedule, settings: Settings) -> dg.ScheduleDefinition:
    cron = cron_line(rhythm, settings)
    assert cron is not None  # noqa: S101  # `manual` is no schedule
    return _of_companies(
        rhythm.replace("-", "_"),
        cron,
        settings,
        wanted=lambda company: company.schedule == rhythm,
        run_config={},
        description=f"Syncs the enabled companies with the rhythm {rhythm}, one run each.",
    )


def _of_companies(
    name: str,
    cron: str,
    settings: Settings,
    *,
    wanted: "Callable[[Company], bool]",
    run_config: Mapping[str, Any],
    description: str,
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=SYNC_COMPANY,
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def tick(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        from billingo_assets.companies.registry import list_companies

        with warehouse.connect() as connection:
            due = [company for company in list_companies(connection, enabled_only=True) if wanted(company)]
        # A company that was added a moment ago has no partition yet; the sensor creates it, and syncs the company.
        partitions = set(context.instance.get_dynamic_partitions(COMPANIES))
        # In UTC: an hour that the clock shows twice has two ticks.
        moment = f"{context.scheduled_execution_time.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
        requests = [
            dg.RunRequest(partition_key=company.key, run_key=f"{name}/{company.key}/{moment}", run_config=run_config)
            for company in due
            if company.key in partitions
        ]
        return requests or dg.SkipReason(f"No enabled company is due ({name}).")

    return tick
