"""Looks for problems, and sends messages about new ones to the channels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import dagster as dg
from sqlalchemy import Connection

from billingo_assets.alerts.channels import open_channels
from billingo_assets.alerts.decisions import Audience, Subject
from billingo_assets.alerts.delivery import deliver, write_down
from billingo_assets.alerts.outages import lock_outages, update_outages
from billingo_assets.health.reading import read_health
from billingo_assets.health.rules import Problem
from billingo_assets.names import PRUNE_HISTORY, REFRESH_HEALTH
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import NEWEST
from billingo_assets.run_history.summaries import summarize_run
from billingo_assets.settings import Settings

OTHER_JOBS = (PRUNE_HISTORY, REFRESH_HEALTH)
"""Jobs that belong to no single company. Their failures are reported as well."""


class Sent(NamedTuple):
    """The counts of problems and of messages sent, and why some channels received nothing."""

    out: int
    delivered: int
    failures: Sequence[str]


def send_alerts(connection: Connection, instance: dg.DagsterInstance, settings: Settings, now: datetime) -> Sent:
    """Store the present problems, and report new ones to the channels.

    Without a channel nothing counts as reported: the first configured channel receives all problems of that moment.
    """
    channels = open_channels(settings)
    with connection.begin():
        lock_outages(connection)
        healths = read_health(connection, instance, settings, now)
        subjects = [Subject(health.company, health.problems) for health in healths]
        subjects.append(Subject(None, _problems_of_jobs(instance, now)))
        enabled = {health.company.id: health.company for health in healths if health.company.enabled}
        audience = Audience(enabled, any(health.is_being_synced for health in healths), settings.ui_url)
        messages = update_outages(connection, subjects, now, audience=audience if channels.usable else None)
        write_down(connection, messages, channels.usable)
    delivered = deliver(connection, channels.usable)
    failures = [*channels.faults, *delivered.failures]
    return Sent(sum(len(subject.problems) for subject in subjects), delivered.messages, failures)


def _problems_of_jobs(instance: dg.DagsterInstance, now: datetime) -> list[Problem]:
    retries, problems = Retries(instance, now), []
    for job in OTHER_JOBS:
        ended = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
        runs = [record.dagster_run for record in instance.get_run_records(ended, limit=NEWEST)]
        last = next((run for run in runs if not run.is_failure or retries.failed_for_good(run)), None)
        if last is not None and last.is_failure:
            kind, errors = f"job:{job}", summarize_run(instance, last.run_id).errors
            problems.append(Problem(kind, "warning", kind, f"{job}: {' '.join(errors)}", last.run_id))
    return problems
