"""What goes wrong in production, done to the real services: afterwards every company is synced, and nothing hangs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg
import httpx
import psutil
import pytest
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, ScheduleInstigatorData, TickStatus
from sqlalchemy import URL, Engine, text

from billingo_assets.dagster_support.instance import open_instance
from billingo_assets.dagster_support.webserver import NO_DATABASE
from billingo_assets.run_history.crashes import UNRECORDED
from billingo_assets.sandbox import DEFAULT_COMPANIES, CompanySpec, SandboxServer, World
from billingo_assets.settings import load_settings
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL
from billingo_assets_tests.support.own_server import TEMPLATE, OwnServer, own_server
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.services import (
    ASSETS,
    BACKFILL,
    PROGRAM,
    Place,
    Services,
    running_services,
)

LOST, RETURNED = "PostgreSQL does not answer", "PostgreSQL answers again"
SERVICES = ("The UI", "The daemon")

RUNS = """
    SELECT run.run_id, run.status, company.value, run.start_time, run.end_time, schedule.value, parent.value
    FROM dagster.runs AS run
    JOIN dagster.run_tags AS company ON company.run_id = run.run_id AND company.key = 'dagster/partition'
    LEFT JOIN dagster.run_tags AS schedule
        ON schedule.run_id = run.run_id AND schedule.key = 'dagster/schedule_name'
    LEFT JOIN dagster.run_tags AS parent ON parent.run_id = run.run_id AND parent.key = 'dagster/parent_run_id'
    ORDER BY run.id
"""
WORKER = re.compile(r"Executing steps in process \(pid: (\d+)\)")


@dataclass(frozen=True)
class Run:
    """A run of a company, as Dagster's tables have it."""

    id: str
    status: str
    company: str
    started: float | None
    ended: float | None
    schedule: str | None
    retry_of: str | None

    @property
    def is_over(self) -> bool:
        return self.status in ("SUCCESS", "FAILURE", "CANCELED")


def runs_of(place: Place) -> list[Run]:
    with place.engine.connect() as connection:
        return [Run(*row) for row in connection.execute(text(RUNS))]


def all_over(place: Place, *, at_least: int) -> list[Run]:
    """Every run, once there are so many and none is going."""

    def over() -> list[Run] | None:
        runs = runs_of(place)
        return runs if len(runs) >= at_least and all(run.is_over for run in runs) else None

    return until(over, what=f"the end of {at_least} runs")


ONE = [company for company in DEFAULT_COMPANIES if company.key == LARGE]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """One company of several pages, if no others are named: each is one more run before a test begins."""
    return World(companies=getattr(request, "param", ONE))


@pytest.fixture
def place(
    world: World,
    server_url: URL,
    admin: Engine,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    with fresh_database(server_url, admin, template=migrated_template) as url, SandboxServer(world) as sandbox:
        folder = tmp_path_factory.mktemp("bad-day")
        here = Place(url, folder / "home", world, sandbox.url, sandbox=sandbox).with_dagster_home(folder / "dagster")
        here.register_companies()
        yield here
        here.engine.dispose()


@contextmanager
def held_after_first_page(place: Place, company: str) -> Iterator[threading.Event]:
    """Let the next listing of the company wait after its first page while the block runs; the event says it does."""
    waits, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        waits.set()
        go_on.wait(PATIENCE_SECONDS)

    assert place.sandbox is not None
    place.sandbox.faults.after_page(1, hold, company=company)
    try:
        yield waits
    finally:
        go_on.set()


def worker_of(place: Place, run_id: str) -> psutil.Process:
    """The process that executes a run."""
    with place.engine.connect() as connection:
        events = connection.scalars(text("SELECT event FROM dagster.event_logs WHERE run_id = :run"), {"run": run_id})
        (pid,) = {match[1] for event in events if (match := WORKER.search(event))}
    return psutil.Process(int(pid))


def require_synced(place: Place) -> None:
    keys = [company.key for company in place.world.companies]
    assert {key: place.held(key) for key in keys} == {key: place.booked(key) for key in keys}


@pytest.fixture
def instance(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """What the services share, seen from outside."""
    for name, value in place.environment.items():
        if name.startswith(("BILLINGO_", "DAGSTER_")):
            monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    with open_instance(load_settings()) as opened:
        yield opened


def schedules(instance: dg.DagsterInstance) -> list[InstigatorState] | None:
    """The state of every schedule, once each has one."""
    states = list(instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE))
    return states if len(states) == 6 else None


def move_back(instance: dg.DagsterInstance, time: timedelta) -> None:
    """Let every schedule have been looked at so long ago, as if the daemon had been down since."""
    then = (datetime.now(UTC) - time).timestamp()
    for state in schedules(instance) or []:
        data = state.instigator_data
        assert isinstance(data, ScheduleInstigatorData)
        instance.update_instigator_state(state.with_data(ScheduleInstigatorData(data.cron_schedule, then)))


@pytest.mark.parametrize("world", [DEFAULT_COMPANIES], ids=["three companies"], indirect=True)
def test_a_daemon_that_was_down_for_days_catches_up_once_beside_a_backfill(
    place: Place, instance: dg.DagsterInstance
) -> None:
    with running_services(place):
        until(lambda: schedules(instance), what="the state of every schedule")
        all_over(place, at_least=3)  # the first sync of each company
    move_back(instance, timedelta(days=9))
    keys = sorted(company.key for company in place.world.companies)
    with running_services(place) as services:
        services.ask(BACKFILL, params={"assetSelection": ASSETS, "partitionNames": keys})
        runs = all_over(place, at_least=4 * len(keys))
    assert {run.status for run in runs} == {"SUCCESS"}
    scheduled = Counter((run.schedule, run.company) for run in runs if run.schedule)
    assert scheduled == {(schedule, key): 1 for schedule in ("daily", "full") for key in keys}
    for key in keys:
        spans = sorted((run.started or 0, run.ended or 0) for run in runs if run.company == key)
        assert all(ended <= started for (_, ended), (started, _) in pairwise(spans))
    require_synced(place)


@pytest.fixture
def settled(place: Place) -> Iterator[Services]:
    """The services, once the company had its first sync."""
    with running_services(place) as services:
        all_over(place, at_least=1)
        yield services


def the_retry_of(place: Place, run_id: str) -> Run:
    """The run that tries again what a run failed at, once it has ended."""

    def found() -> Run | None:
        return next((run for run in runs_of(place) if run.retry_of == run_id and run.is_over), None)

    return until(found, what="the end of the retry")


def test_a_run_whose_process_is_killed_is_marked_and_its_retry_succeeds(settled: Services, place: Place) -> None:
    place.world.company(LARGE).create()
    with held_after_first_page(place, LARGE) as waits:
        run_id = settled.launch(LARGE, jobName="sync_company")
        assert waits.wait(PATIENCE_SECONDS)
        worker_of(place, run_id).kill()
        assert settled.finished_run(run_id)["status"] == "FAILURE"
    assert the_retry_of(place, run_id).status == "SUCCESS"
    require_synced(place)


def test_a_run_outlives_the_code_server_or_is_tried_again(settled: Services, place: Place) -> None:
    place.world.company(LARGE).create()
    with held_after_first_page(place, LARGE) as waits:
        run_id = settled.launch(LARGE, jobName="sync_company")
        assert waits.wait(PATIENCE_SECONDS)
        worker = worker_of(place, run_id)
        code_server = worker.parent()
        assert code_server is not None
        assert "grpc" in " ".join(code_server.cmdline()) or "code-server" in " ".join(code_server.cmdline())
        code_server.kill()
    ended = settled.finished_run(run_id)
    if ended["status"] == "FAILURE":
        assert the_retry_of(place, run_id).status == "SUCCESS"
    require_synced(place)
    again = settled.launch(LARGE, jobName="sync_company")
    assert settled.finished_run(again)["status"] == "SUCCESS"


def test_a_run_that_died_with_the_whole_machine_is_marked_and_tried_again(place: Place) -> None:
    with ExitStack() as stack, running_services(place, end=signal.SIGKILL) as services:
        all_over(place, at_least=1)
        place.world.company(LARGE).create()
        waits = stack.enter_context(held_after_first_page(place, LARGE))
        run_id = services.launch(LARGE, jobName="sync_company")
        assert waits.wait(PATIENCE_SECONDS)
    with running_services(place) as services:
        assert services.finished_run(run_id)["status"] == "FAILURE"
        assert the_retry_of(place, run_id).status == "SUCCESS"
    require_synced(place)


@pytest.fixture
def restartable() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


@pytest.fixture
def restarted(restartable: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with one company, on a server that may be stopped."""
    restartable.run(f"CREATE DATABASE restarted TEMPLATE {TEMPLATE}")
    world = World(companies=[CompanySpec(SMALL, "Ózon Bt.", 5)])
    with SandboxServer(world) as sandbox:
        url, folder = restartable.url.set(database="restarted"), tmp_path_factory.mktemp("restart")
        place = Place(url, folder / "home", world, sandbox.url, sandbox=sandbox).with_dagster_home(folder / "dagster")
        place.register_companies()
        yield place
        place.engine.dispose()


def test_the_services_outlive_a_restart_of_postgresql(restartable: OwnServer, restarted: Place) -> None:
    log = restarted.home.with_suffix(".log")
    with running_services(restarted) as services:
        all_over(restarted, at_least=1)
        restarted.engine.dispose()
        lines_before = len(log.read_text().splitlines())
        restartable.stop()
        away = httpx.get(services.url, timeout=PATIENCE_SECONDS)  # answered once the tries of a page are used up
        until(lambda: log.read_text().count(LOST) > 1 or None, what="a line of the UI and of the daemon")
        restartable.start()
        back = httpx.get(services.url, timeout=PATIENCE_SECONDS)
        restarted.world.company(SMALL).create()

        def synced() -> bool | None:
            run_id = services.try_to_launch(SMALL)
            return (run_id is not None and services.finished_run(run_id)["status"] == "SUCCESS") or None

        until(synced, what="a run that succeeds")
        require_synced(restarted)
        until(lambda: log.read_text().count(RETURNED) > 1 or None, what="the lines that it is back")
        told = log.read_text().splitlines()[lines_before:]
    assert (away.status_code, away.text) == (503, NO_DATABASE)
    assert back.status_code == 200
    require_two_lines_of_each_service(told)
    assert [line for line in told if re.match("[A-Z]+:", line)] == [], "a line was logged once more, by the root logger"


def require_two_lines_of_each_service(told: list[str]) -> None:
    """The outage is logged when it begins and when it ends, and nothing else is said of it."""
    for moment in (LOST, RETURNED):
        (ui, daemon) = sorted((line for line in told if moment in line), key=lambda line: SERVICES[1] in line)
        assert (SERVICES[0] in ui, SERVICES[1] in daemon) == (True, True)
    noise = "Traceback|Exception|Process Spawn|psycopg|sqlalchemy|DatabaseUnavailable|too many retries"
    assert [line for line in told if re.search(noise, line)] == []


def test_a_run_that_ends_while_postgresql_is_away_is_marked_once_it_is_back_and_tried_again(
    restartable: OwnServer, restarted: Place
) -> None:
    log = restarted.home.with_suffix(".log")
    with running_services(restarted) as services:
        all_over(restarted, at_least=1)
        lines_before = len(log.read_text().splitlines())
        with held_after_first_page(restarted, SMALL) as waits:
            run_id = services.launch(SMALL, jobName="sync_company")
            assert waits.wait(PATIENCE_SECONDS)
            worker = worker_of(restarted, run_id)
            restarted.engine.dispose()
            restartable.stop()
        assert httpx.get(services.url, timeout=PATIENCE_SECONDS).status_code == 503
        psutil.wait_procs([worker], timeout=PATIENCE_SECONDS)
        assert not worker.is_running()
        restartable.start()
        assert services.finished_run(run_id)["status"] == "FAILURE"
        assert the_retry_of(restarted, run_id).status == "SUCCESS"
        until(lambda: log.read_text().count(RETURNED) > 1 or None, what="the lines that it is back")
        told = log.read_text().splitlines()[lines_before:]
    require_synced(restarted)
    require_two_lines_of_each_service(told)
    done = subprocess.run(
        [PROGRAM, "history", "--failed"], env=restarted.environment, capture_output=True, text=True, check=True
    )
    assert UNRECORDED in done.stdout


def test_doctor_tells_of_a_sensor_that_fails_and_why_until_it_works_again(
    place: Place, instance: dg.DagsterInstance
) -> None:
    with place.engine.begin() as connection:
        connection.execute(text("ALTER TABLE billingo.outages RENAME TO away"))
    with running_services(place):
        await_tick(instance, "alerts", TickStatus.FAILURE)
        words = faults_told(place)["sensor alerts"]
        with place.engine.begin() as connection:
            connection.execute(text("ALTER TABLE billingo.away RENAME TO outages"))
        await_tick(instance, "alerts", TickStatus.SKIPPED)
        assert "sensor alerts" not in faults_told(place)
    assert 'relation "billingo.outages" does not exist. The UI has' in words


def await_tick(instance: dg.DagsterInstance, sensor: str, status: TickStatus) -> None:
    """Wait until a sensor's last tick has ended so."""

    def ended() -> bool | None:
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            if state.name == sensor:
                ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
                return [tick.status for tick in ticks] == [status] or None
        return None

    until(ended, what=f"a tick of {sensor} that is {status.value}")


def faults_told(place: Place) -> dict[str, str]:
    """What `doctor` says of each fault."""
    done = subprocess.run([PROGRAM, "doctor", "--json"], env=place.environment, capture_output=True, check=False)
    findings = json.loads(done.stdout)["findings"]
    return {one["what"]: one["words"] for one in findings if one["verdict"] == "fault"}
