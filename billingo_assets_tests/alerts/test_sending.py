"""From a run that fails to the message in somebody's mailbox, and to the one that says it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from billingo_assets.alerts.outages import lock_outages
from billingo_assets.alerts.sending import Sent, send_alerts
from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.definitions import build_defs
from billingo_assets.names import SYNC_COMPANY
from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.locks import showing_run_alive
from billingo_assets_tests.alerts.conftest import Configure
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL, Sync
from billingo_assets_tests.support.past_runs import Age, leave_run
from billingo_assets_tests.support.sinks import PASSWORD, TOKEN, MailSink, WebSink

UI = "https://dagster.example.com"
REVOKED = "00000000-0000-4000-8000-000000000000"

Evaluate = Callable[[], Sent]


@pytest.fixture
def evaluate(engine: Engine, instance: dg.DagsterInstance) -> Callable[..., Sent]:
    """Look and tell, as the sensor does; now, or so much later."""

    def look(later: timedelta = timedelta(0)) -> Sent:
        with engine.connect() as connection:
            return send_alerts(connection, instance, load_settings(), datetime.now(UTC) + later)

    return look


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[[], str]:
    """Evaluate the sensor `alerts`; returns what it says."""
    repository = build_defs().get_repository_def()

    def run() -> str:
        with dg.build_sensor_context(
            instance=instance, repository_def=repository, resources={"warehouse": WarehouseResource()}
        ) as context:
            return repository.get_sensor_def("alerts").evaluate_tick(context).skip_message or ""

    return run


@pytest.fixture(autouse=True)
def _channels(mail: MailSink, web: WebSink, configure: Configure, sandbox: SandboxServer) -> None:
    configure(alert_urls=f"{mail.url} {web.url}", ui_url=f"{UI}/", request_attempts="1")


@pytest.fixture
def revoke(world: World) -> Callable[[bool], None]:
    """Have the API refuse the small company's key, or know it again."""
    known = world.company(SMALL).api_key
    return lambda refused: world.company(SMALL).replace_api_key(REVOKED if refused else known)


def test_a_failed_run_is_one_mail_and_one_post_that_say_who_what_where_and_what_to_do(
    sync: Sync,
    revoke: Callable[[bool], None],
    evaluate: Evaluate,
    mail: MailSink,
    web: WebSink,
    companies: dict[str, Company],
) -> None:
    sync(LARGE)
    revoke(True)
    run_id = sync(SMALL).run_id
    assert [evaluate(), evaluate()] == [(1, 2, []), (1, 0, [])]
    (received,) = mail.mails
    words = received.get_content()
    assert received["Subject"] == f"{SMALL}: the sync failed"
    assert companies[SMALL].name in words
    assert "401" in words
    assert "billingo-assets company set-key" in words
    assert f"{UI}/runs/{run_id}" in words
    assert (web.titles, web.posts[0]["message"].strip()) == (
        [f"{SMALL}: the sync failed"],
        words.strip().replace("\r", ""),
    )


def test_a_company_that_works_again_is_one_message(
    sync: Sync, revoke: Callable[[bool], None], evaluate: Evaluate, mail: MailSink, web: WebSink
) -> None:
    revoke(True)
    sync(SMALL)
    evaluate()
    revoke(False)
    sync(SMALL)
    evaluate()
    evaluate()
    assert mail.subjects == web.titles == [f"{SMALL}: the sync failed", f"{SMALL} works again"]


def test_a_sync_that_is_refused_beside_another_is_no_outage(
    sync: Sync, refuse: Sync, evaluate: Evaluate, web: WebSink
) -> None:
    sync(SMALL)
    assert refuse(SMALL).status == "failed"
    assert (evaluate().out, web.titles) == (0, [])


def test_a_check_that_fails_is_told_although_the_run_went_well(
    sync: Sync, evaluate: Evaluate, world: World, web: WebSink
) -> None:
    world.company(SMALL).add_raw({"id": "seven"})
    assert sync(SMALL).status == "partial"
    evaluate()
    (post,) = web.posts
    assert (post["type"], post["title"]) == ("warning", f"{SMALL}: the check no_rejected_documents warns")
    assert "billingo.rejected_documents" in post["message"]


def test_a_company_that_is_not_synced_is_told_after_a_day_and_once_more_after_two(
    sync: Sync, evaluate: Callable[[timedelta], Sent], age: Age, web: WebSink, companies: dict[str, Company]
) -> None:
    for key in companies:
        sync(key)
    for hours in (20, 30, 31, 50, 60):
        evaluate(timedelta(hours=hours))
    assert [(post["type"], post["title"]) for post in web.posts] == [
        ("warning", "3 companies: not synced"),
        ("failure", "3 companies: not synced"),
    ]
    assert all(word in web.posts[0]["message"] for word in ("billingo-assets doctor", *companies))


def test_an_api_that_is_down_is_one_message_for_all_companies_and_one_when_it_is_back(
    sync: Sync, evaluate: Evaluate, sandbox: SandboxServer, web: WebSink, companies: dict[str, Company]
) -> None:
    sandbox.faults.add(Fault(kind="status", status=503, times=None))
    for key in (SMALL, LARGE):
        sync(key)
    evaluate()
    sync("it-cardigan")
    evaluate()
    assert web.titles == ["2 companies: the sync failed"]
    sandbox.faults.clear()
    for key in companies:
        sync(key)
    evaluate()
    assert web.titles[1:] == ["3 companies work again"]


def test_an_api_that_is_down_again_is_told_again_though_a_company_was_not_tried_in_between(
    sync: Sync, evaluate: Evaluate, sandbox: SandboxServer, web: WebSink, companies: dict[str, Company]
) -> None:
    for _ in range(2):
        sandbox.faults.add(Fault(kind="status", status=503, times=None))
        for key in (SMALL, LARGE) if not web.titles else (SMALL,):
            sync(key)
        evaluate()
        sandbox.faults.clear()
        sync(SMALL)
        evaluate()
    assert web.titles == [
        "2 companies: the sync failed",
        f"{SMALL} works again",
        f"{SMALL}: the sync failed",
        f"{SMALL} works again",
    ]


def test_news_waits_while_another_companys_run_is_going(
    sync: Sync,
    revoke: Callable[[bool], None],
    evaluate: Callable[..., Sent],
    web: WebSink,
    instance: dg.DagsterInstance,
    live_defs: dg.Definitions,
    engine: Engine,
) -> None:
    revoke(True)
    sync(SMALL)
    going = leave_run(instance, live_defs.resolve_job_def(SYNC_COMPANY), dg.DagsterRunStatus.STARTED, company=LARGE)
    with engine.connect() as connection, showing_run_alive(connection, going.run_id):
        evaluate()
        evaluate(timedelta(minutes=9))
        assert web.titles == []
        evaluate(timedelta(minutes=11))
    assert web.titles == [f"{SMALL}: the sync failed"]


@pytest.mark.parametrize("leave", ["disable", "remove"])
def test_a_company_that_leaves_while_it_is_out_is_spoken_of_no_more(
    sync: Sync, revoke: Callable[[bool], None], evaluate: Evaluate, web: WebSink, engine: Engine, leave: str
) -> None:
    revoke(True)
    sync(SMALL)
    evaluate()
    with engine.begin() as connection:
        if leave == "remove":
            registry.remove_company(connection, SMALL)
        else:
            registry.change_company(connection, SMALL, enabled=False)
    assert evaluate().out == 0
    assert len(web.titles) == 1


def test_the_first_channel_that_is_configured_hears_of_what_is_out_then(
    sync: Sync, revoke: Callable[[bool], None], evaluate: Evaluate, web: WebSink, configure: Configure, mail: MailSink
) -> None:
    configure(alert_urls="")
    revoke(True)
    sync(SMALL)
    assert evaluate() == (1, 0, [])
    configure(alert_urls=web.url)
    evaluate()
    assert web.titles == [f"{SMALL}: the sync failed"]


def test_a_job_of_ours_that_fails_is_told(
    evaluate: Evaluate, instance: dg.DagsterInstance, live_defs: dg.Definitions, web: WebSink
) -> None:
    job = live_defs.resolve_job_def("prune_history")
    for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS):
        leave_run(instance, job, status, tags={"dagster/max_retries": "0"})
        evaluate()
    assert web.titles == ["billingo_assets: the job prune_history failed", "billingo_assets works again"]


def test_one_process_at_a_time_decides_what_is_told(
    instance: dg.DagsterInstance, engine: Engine, configure: Configure
) -> None:
    settings = configure(alert_urls="")
    with engine.connect() as deciding, engine.connect() as other:
        lock_outages(deciding)
        other.execute(text("SET lock_timeout = '100ms'"))
        other.commit()
        with pytest.raises(OperationalError, match="lock timeout"):
            send_alerts(other, instance, settings, datetime.now(UTC))
        deciding.rollback()
        assert send_alerts(other, instance, settings, datetime.now(UTC)).out == 0


@pytest.fixture
def beating(configure: Configure, web: WebSink) -> None:
    configure(heartbeat_url=web.heartbeat_url)


def test_the_heartbeat_is_called_after_a_tick_that_told_everything(
    beating: None, companies: dict[str, Company], tick: Callable[[], str], web: WebSink
) -> None:
    assert tick() == "0 out; 0 messages sent."
    assert web.gets == [f"/beat/{TOKEN}"]


def test_the_heartbeat_is_not_called_while_a_channel_takes_nothing(
    beating: None, sync: Sync, revoke: Callable[[bool], None], tick: Callable[[], str], web: WebSink, mail: MailSink
) -> None:
    revoke(True)
    sync(SMALL)
    mail.refusing = True
    assert tick() == "1 out; 1 messages sent; 1 channels could not be reached."
    assert web.gets == []
    mail.refusing = False
    tick()
    assert (len(web.gets), mail.subjects) == (1, [f"{SMALL}: the sync failed"])


def test_a_url_that_is_no_channel_keeps_no_other_from_being_told_but_the_heartbeat_from_being_called(
    beating: None,
    sync: Sync,
    revoke: Callable[[bool], None],
    tick: Callable[[], str],
    configure: Configure,
    mail: MailSink,
    web: WebSink,
) -> None:
    configure(alert_urls=f"nonsense {mail.url}")
    revoke(True)
    sync(SMALL)
    assert tick() == "1 out; 1 messages sent; 1 channels could not be reached."
    assert (mail.subjects, web.gets) == ([f"{SMALL}: the sync failed"], [])


def test_a_heartbeat_that_fails_fails_no_tick_and_loses_no_message(
    sync: Sync, revoke: Callable[[bool], None], tick: Callable[[], str], configure: Configure, mail: MailSink
) -> None:
    configure(heartbeat_url=f"http://127.0.0.1:1/beat/{TOKEN}")
    revoke(True)
    sync(SMALL)
    assert tick() == "1 out; 2 messages sent. The heartbeat URL cannot be reached (Connection refused)."
    assert mail.subjects == [f"{SMALL}: the sync failed"]


def test_nothing_that_is_said_or_stored_holds_a_secret_of_a_channel(
    beating: None,
    sync: Sync,
    revoke: Callable[[bool], None],
    tick: Callable[[], str],
    engine: Engine,
    mail: MailSink,
    web: WebSink,
    capfd: pytest.CaptureFixture[str],
) -> None:
    revoke(True)
    sync(SMALL)
    mail.refusing, web.status = True, 500
    said = tick()
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('billingo', 'dagster')")
        ).all()
        stored = "".join(str(row) for table in tables for row in connection.execute(text(f"SELECT * FROM {table}")))
    everything = said + stored + "".join(capfd.readouterr())
    assert f"{SMALL}: the sync failed" in stored
    assert (PASSWORD in everything, TOKEN in everything) == (False, False)
