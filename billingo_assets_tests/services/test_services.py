"""The UI and the daemon as `billingo-assets dev` runs them, driven over GraphQL as the UI in the browser does."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import URL, Engine
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from billingo_assets.project import project_root
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.dagster_runs import SMALL
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.services import (
    ASSETS,
    BACKFILL,
    BACKFILL_RUNS,
    CHECK_STATUSES,
    CODE_LOCATION,
    FINISHED,
    PROGRAM,
    REEXECUTE,
    RUN,
    Place,
    Services,
    free_port,
    partition_of,
    running_services,
)


@pytest.fixture(scope="module")
def place(
    server_url: URL, admin: Engine, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    world = World()
    with (
        fresh_database(server_url, admin, template=migrated_template) as url,
        SandboxServer(world) as sandbox,
    ):
        here = Place(url, tmp_path_factory.mktemp("services") / "home", world, sandbox.url)
        here.register_companies()
        yield here
        here.engine.dispose()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "a terminal that is closed"])
def test_to_be_ended_ends_every_process_and_frees_the_port(place: Place, end: signal.Signals) -> None:
    with running_services(place, end=end) as services:
        port = services.port
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_the_services_start_in_a_dagster_home_of_your_own(place: Place, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "dagster.yaml").symlink_to(project_root() / "dagster.yaml")
    elsewhere = replace(place, home=tmp_path / "fresh", variables={"DAGSTER_HOME": str(own)})
    with running_services(elsewhere):
        assert not elsewhere.settings.dagster_home.exists()


def test_whatever_the_umask_no_other_account_reaches_what_the_services_make(place: Place, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with tempfile.TemporaryDirectory() as short:  # for the path of a socket
            open_to_all = replace(place, home=tmp_path / "home", variables={"TMPDIR": short})
            with running_services(open_to_all):
                made = [path for where in (open_to_all.home, Path(short)) for path in (where, *where.rglob("*"))]
                modes = {path: path.stat().st_mode for path in made if not path.is_symlink()}
    finally:
        os.umask(umask)
    assert any(stat.S_ISSOCK(mode) for mode in modes.values())
    assert open_to_all.settings.dagster_home in modes
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o027} == {}


def test_whatever_the_umask_no_other_account_reaches_the_sockets_of_dagsters_own_programs(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").symlink_to(project_root() / "dagster.yaml")
    with tempfile.TemporaryDirectory() as short:
        environment = {**place.environment, "DAGSTER_HOME": str(tmp_path), "TMPDIR": short}
        words = [PROGRAM.with_name("dagster-webserver"), "--port", str(free_port())]
        program = subprocess.Popen(
            [*words, "--workspace", project_root() / "workspace.yaml"], env=environment, cwd=tmp_path, umask=0
        )
        try:
            made = until(
                lambda: [path for path in Path(short).iterdir() if path.is_socket()] or None,
                what="the code server's socket",
            )
            assert {path.stat().st_mode & 0o077 for path in made} == {0}
        finally:
            family = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
            program.send_signal(signal.SIGINT)
            program.wait(PATIENCE_SECONDS)
            for one in psutil.wait_procs(family, timeout=PATIENCE_SECONDS)[1]:
                one.kill()


@pytest.fixture(scope="module")
def services(place: Place) -> Iterator[Services]:
    with running_services(place) as running:
        yield running


def test_the_code_location_is_loaded_without_an_error(services: Services) -> None:
    (location,) = services.locations() or []
    assert (location["name"], location["locationOrLoadError"]["__typename"]) == (
        "billingo_assets",
        "RepositoryLocation",
    )


def test_what_the_services_write_to_a_file_has_no_colours(services: Services) -> None:
    log = services.place.home.with_suffix(".log")
    until(lambda: "SensorDaemon" in log.read_text() or None, what="a line of the daemon")
    assert "Serving dagster-webserver" in log.read_text()
    assert "\x1b" not in log.read_text()


def started_too(services: Services) -> tuple[int, str]:
    """What a second `dev` beside these services, on another port, comes to: its exit code and what it says."""
    words = [PROGRAM, "dev", "--port", str(free_port())]
    second = subprocess.Popen(words, env=services.place.environment, stderr=subprocess.PIPE, text=True)
    try:
        return second.wait(PATIENCE_SECONDS), second.communicate()[1]
    except subprocess.TimeoutExpired:
        second.terminate()
        return second.wait(PATIENCE_SECONDS), ""


def test_a_second_dev_on_another_port_is_refused_and_told_who_runs(services: Services) -> None:
    code, said = started_too(services)
    assert (code, f"already (process {services.process.pid}, {services.url})" in said) == (2, True)


def test_a_dev_beside_what_a_killed_one_left_running_is_refused(place: Place, tmp_path: Path) -> None:
    with running_services(replace(place, home=tmp_path / "home"), end=signal.SIGKILL) as services:
        left = psutil.Process(services.process.pid).children(recursive=True)
        services.process.kill()
        os.waitid(os.P_PID, services.process.pid, os.WEXITED | os.WNOWAIT)
        try:
            assert started_too(services)[0] == 2
        finally:
            for process in left:
                process.kill()


def told_ui_urls(services: Services) -> set[str]:
    """Where the processes that `dev` started take the UI to be."""
    started = psutil.Process(services.process.pid).children(recursive=True)
    return {process.environ()["BILLINGO_UI_URL"] for process in started}


def test_links_lead_to_the_port_that_dev_was_given(services: Services) -> None:
    assert told_ui_urls(services) == {services.url}


def test_links_lead_where_the_settings_say_the_ui_is(place: Place, tmp_path: Path) -> None:
    books = "https://books.example.com"
    with running_services(replace(place, home=tmp_path / "home", variables={"BILLINGO_UI_URL": books})) as services:
        assert told_ui_urls(services) == {books}


FOREIGN = {
    "a picture whose address is a mutation": ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
    "the same in a browser that tells nothing": ("GET", {}),
    "a form": ("POST", {"Origin": "https://evil.example.com"}),
    "a page on another port": ("POST", {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}),
    "a page on the port that http has": ("POST", {"Origin": "http://127.0.0.1"}),
    "a page on another port in a browser that does not name it": ("POST", {"Sec-Fetch-Site": "same-site"}),
    "a page that was opened from a file": ("POST", {"Origin": "null"}),
    "a name that was made to lead here": ("POST", {"Host": "evil.example.com", "Origin": "http://evil.example.com"}),
}


@pytest.mark.parametrize(("method", "headers"), FOREIGN.values(), ids=FOREIGN)
def test_what_another_web_page_sends_is_not_answered(services: Services, method: str, headers: dict[str, str]) -> None:
    answer = httpx.request(method, f"{services.url}/graphql", params={"query": "{ version }"}, headers=headers)
    assert (answer.status_code, "version" in answer.text) == (403, False)


def test_a_websocket_that_another_web_page_opens_is_refused(services: Services) -> None:
    address = f"ws://127.0.0.1:{services.port}/graphql"
    another = Origin("https://evil.example.com")
    with pytest.raises(InvalidStatus) as refused, connect(address, origin=another, open_timeout=PATIENCE_SECONDS):
        pass
    assert refused.value.response.status_code == 403
    with connect(
        address,
        origin=Origin(services.url),
        subprotocols=[Subprotocol("graphql-ws")],
        open_timeout=PATIENCE_SECONDS,
    ) as own:
        own.send('{"type": "connection_init"}')
        assert json.loads(own.recv(timeout=PATIENCE_SECONDS)) == {"type": "connection_ack"}


def test_a_link_to_the_ui_from_elsewhere_opens_it(services: Services) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    assert httpx.get(f"{services.url}/runs", headers=headers).status_code == 200


@pytest.fixture(scope="module")
def backfill(services: Services) -> dict[str, Any]:
    """The answer to a backfill of every company: asked for early, since the daemon looks every 30 seconds only."""
    companies = [company.key for company in services.place.world.companies]
    answer: dict[str, Any] = services.ask(BACKFILL, params={"assetSelection": ASSETS, "partitionNames": companies})
    return answer


def test_a_backfill_of_every_company_is_accepted(backfill: dict[str, Any]) -> None:
    assert backfill["__typename"] == "LaunchBackfillSuccess", backfill


@pytest.mark.parametrize(
    "selector",
    [{"jobName": "sync_company"}, {"jobName": "__ASSET_JOB", "assetSelection": ASSETS}],
    ids=["the job", "the assets"],
)
def test_a_company_that_is_materialized_from_the_ui_agrees_with_the_books(
    services: Services, selector: dict[str, Any]
) -> None:
    created = services.place.world.company(SMALL).create()
    run = services.finished_run(services.launch(SMALL, **selector))
    assert run["status"] == "SUCCESS"
    assert created["id"] in {document["id"] for document in services.place.world.company(SMALL).documents()}
    assert services.place.held(SMALL) == services.place.booked(SMALL)


@pytest.fixture(scope="module")
def command_run(services: Services) -> str:
    """A run that `billingo-assets sync` did beside the services; its id."""
    done = subprocess.run(
        [PROGRAM, "sync", SMALL, "--json"], env=services.place.environment, capture_output=True, check=True
    )
    (company,) = json.loads(done.stdout)["companies"]
    run_id: str = company["run_id"]
    return run_id


def test_a_run_of_the_command_is_shown_with_its_job_its_company_and_its_code_location(
    services: Services, command_run: str
) -> None:
    run = services.ask(RUN, id=command_run)
    assert (run["jobName"], run["status"], partition_of(run)) == ("sync_company", "SUCCESS", SMALL)
    assert run["repositoryOrigin"] == CODE_LOCATION


def test_a_run_of_the_command_can_be_run_again_from_the_ui(services: Services, command_run: str) -> None:
    launched = services.ask(REEXECUTE, params={"parentRunId": command_run, "strategy": "ALL_STEPS"})
    assert launched["__typename"] == "LaunchRunSuccess", launched
    assert services.finished_run(launched["run"]["id"])["status"] == "SUCCESS"


@pytest.fixture(scope="module")
def backfilled(services: Services, backfill: dict[str, Any]) -> dict[str, str]:
    """How the backfill's run ended for each company, once all have."""

    def ended() -> dict[str, str] | None:
        runs = services.ask(BACKFILL_RUNS, id=backfill["backfillId"])["runs"]
        statuses = {partition_of(run): run["status"] for run in runs if run["status"] in FINISHED}
        return statuses if len(runs) == len(statuses) == len(services.place.world.companies) else None

    return until(ended, what="the end of the backfill")


def test_a_backfill_syncs_every_company_in_a_run_of_its_own(services: Services, backfilled: dict[str, str]) -> None:
    assert backfilled == {company.key: "SUCCESS" for company in services.place.world.companies}


def test_a_backfill_brings_every_company_in_line_with_the_books(services: Services, backfilled: dict[str, str]) -> None:
    held = {key: services.place.held(key) for key in backfilled}
    assert held == {key: services.place.booked(key) for key in backfilled}


def test_the_ui_shows_the_status_of_a_check_for_each_company(services: Services, backfilled: dict[str, str]) -> None:
    (node,) = services.ask(CHECK_STATUSES)
    statuses = {check["name"]: check["partitionStatuses"] for check in node["assetChecksOrError"]["checks"]}
    assert sorted(statuses["one_row_per_document"]["succeededPartitions"]) == sorted(backfilled)
