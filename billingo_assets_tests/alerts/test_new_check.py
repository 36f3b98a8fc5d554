"""A check that somebody adds to the registry is heard of everywhere; one that is not there cannot be declared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine

from billingo_assets.alerts.sending import send_alerts
from billingo_assets.checks import CHECKS, ERROR, Check
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support import in_process
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.defs.checks.results import Question, check_result, company_check
from billingo_assets.health.reading import read_health
from billingo_assets.names import INVOICES, SYNC_COMPANY
from billingo_assets.run_history.pruning import prune_runs
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.reconciliation import Reconciliation
from billingo_assets_tests.alerts.conftest import Configure
from billingo_assets_tests.support.dagster_runs import SMALL
from billingo_assets_tests.support.sinks import WebSink

NEW = Check(
    name="never_holds",
    asset=INVOICES,
    holds_when="one is two",
    severity=ERROR,
    advice="Ask {key} to count again.",
    cleared_by="nothing",
)


@pytest.fixture
def with_new_check(live_defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.setitem(CHECKS, NEW.name, NEW)

    @company_check()
    def never_holds(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
        return check_result(question, Reconciliation(expected=1, found=2), description="1 is not 2.")

    return dg.Definitions.merge(live_defs, dg.Definitions(asset_checks=[never_holds]))


def test_a_new_check_that_fails_is_red_in_the_outcome_the_status_and_the_alert_and_its_run_is_kept(
    with_new_check: dg.Definitions,
    companies: dict[str, Company],
    instance: dg.DagsterInstance,
    engine: Engine,
    configure: Configure,
    web: WebSink,
) -> None:
    settings = configure(alert_urls=web.url)
    job = with_new_check.resolve_job_def(SYNC_COMPANY)
    outcome = in_process.sync(companies[SMALL], job=job, instance=instance)
    assert (outcome.status, [fault.check for fault in outcome.errors]) == ("partial", [NEW.name])
    summary = f"{NEW.name}: 1 is not 2. Ask {SMALL} to count again."
    now = datetime.now(UTC)
    with engine.connect() as connection:
        health = {one.company.key: one for one in read_health(connection, instance, load_settings(), now)}
    assert (health[SMALL].color, [problem.summary for problem in health[SMALL].problems]) == ("red", [summary])
    with engine.connect() as connection:
        send_alerts(connection, instance, settings, now)
    (post,) = web.posts
    assert summary in post["message"]
    assert prune_runs(instance, now + timedelta(days=1)).kept == 1


def test_a_check_that_is_not_in_the_registry_cannot_be_declared() -> None:
    def unknown(question: Question, warehouse: WarehouseResource) -> dg.AssetCheckResult:
        raise NotImplementedError

    with pytest.raises(KeyError, match="unknown"):
        company_check()(unknown)
