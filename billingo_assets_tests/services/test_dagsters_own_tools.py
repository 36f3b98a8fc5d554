"""Dagster's own commands, as docs/operations.md shows them, on the instance that `dev` and `sync` use."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

from billingo_assets.project import project_root
from billingo_assets.sandbox import DEFAULT_COMPANIES, SandboxServer, World
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.dagster_runs import SMALL
from billingo_assets_tests.support.services import PROGRAM, Place, running_services, until

SECONDS = 600
TAGS = json.dumps({"dagster/partition": SMALL})
ASSETS = "key:billingo/raw_invoices or key:billingo/invoices or key:billingo/invoice_items"

MODULE = ("-m", "billingo_assets.definitions")

BY_THEMSELVES = {
    "job execute": ("job", "execute", *MODULE, "--job", "sync_company", "--tags", TAGS),
    "asset materialize": ("asset", "materialize", *MODULE, "--select", ASSETS, "--partition", SMALL),
}
BY_THE_DAEMON = {
    "job launch": ("job", "launch", "--job", "sync_company", "--tags", TAGS),
    "job backfill": ("job", "backfill", "--job", "sync_company", "--partitions", SMALL, "--noprompt"),
}


@pytest.fixture(scope="module")
def place(
    server_url: URL, admin: Engine, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    # More companies would be synced beside it when the daemon starts.
    world = World(companies=[company for company in DEFAULT_COMPANIES if company.key == SMALL])
    with fresh_database(server_url, admin, template=migrated_template) as url, SandboxServer(world) as sandbox:
        home = tmp_path_factory.mktemp("tools") / "home"
        here = Place(url, home, world, sandbox.url, {"DAGSTER_HOME": str(home / "dagster")}, sandbox)
        here.register_companies()
        yield here
        here.engine.dispose()


def command(place: Place, *words: str) -> str:
    """One of the project's commands; returns what it says."""
    environment = {name: value for name, value in place.environment.items() if name != "DAGSTER_HOME"}
    done = subprocess.run([PROGRAM, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.stdout


def dagster(place: Place, *words: str) -> None:
    """One of Dagster's own commands, called in the project's folder."""
    done = subprocess.run(
        [PROGRAM.with_name("dagster"), *words],
        env=place.environment,
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def statuses(place: Place) -> list[str]:
    """How the syncs of the small company ended, the newest first."""
    found = json.loads(command(place, "history", "--company", SMALL, "--json"))
    return [sync["status"] for sync in found["syncs"]]


def ended_runs(place: Place, number: int) -> None:
    """Wait until so many runs of the small company have ended."""
    query = text(
        "SELECT count(*) FROM dagster.runs JOIN dagster.run_tags USING (run_id)"
        " WHERE key = 'dagster/partition' AND value = :company AND status IN ('SUCCESS', 'FAILURE')"
    )

    def ended() -> bool | None:
        with place.engine.connect() as connection:
            return connection.scalar(query, {"company": SMALL}) >= number or None

    until(ended, seconds=SECONDS, what=f"the end of {number} runs")


@pytest.fixture(scope="module")
def synced(place: Place) -> None:
    """The small company was synced, which also makes Dagster's home."""
    command(place, "sync", SMALL)


@pytest.mark.parametrize("words", BY_THEMSELVES.values(), ids=BY_THEMSELVES)
def test_what_dagsters_command_syncs_agrees_with_the_books_and_is_in_the_history(
    place: Place, synced: None, words: tuple[str, ...]
) -> None:
    before = statuses(place)
    place.world.company(SMALL).create()
    dagster(place, *words)
    assert statuses(place) == ["success", *before]
    assert place.held(SMALL) == place.booked(SMALL)


def test_what_dagsters_command_queues_waits_in_words_until_the_daemon_runs(place: Place, synced: None) -> None:
    before = statuses(place)
    place.world.company(SMALL).create()
    for words in BY_THE_DAEMON.values():
        dagster(place, *words)
    assert "A sync waits for the daemon, which does not run." in command(place, "status")
    with running_services(place):
        ended_runs(place, len(before) + len(BY_THE_DAEMON))
    assert statuses(place) == ["success"] * len(BY_THE_DAEMON) + before
    assert place.held(SMALL) == place.booked(SMALL)


def test_a_run_for_a_code_location_that_nobody_serves_fails_and_says_so(
    place: Place, synced: None, tmp_path: Path
) -> None:
    before = statuses(place)
    # Named by its module, the location has the module's name, which the daemon's workspace does not have.
    dagster(place, *BY_THE_DAEMON["job launch"], *MODULE)
    without_patience = place.with_dagster_home(tmp_path / "own", run_queue={"max_user_code_failure_retries": 0})
    with running_services(without_patience):
        ended_runs(place, len(before) + 1)
    (newest, *_) = json.loads(command(place, "history", "--company", SMALL, "--json"))["syncs"]
    assert newest["errors"][0]["error"].startswith("It was never started: ")
    assert "billingo_assets.definitions" in newest["errors"][0]["error"]
