"""`billingo-assets demo` and `sandbox` as processes, on an embedded PostgreSQL of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from billingo_assets_tests.support.embedded_users import fresh_home
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))


HOLDS_A_COMPANY = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'run %'"


def _run(*words: str, home: Path, code: int = 0) -> str:
    done = subprocess.run(
        [COMMAND, *words], capture_output=True, text=True, check=False, env={**os.environ, "BILLINGO_HOME": str(home)}
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the demo ran once."""
    home = tmp_path_factory.mktemp("demo") / "egy hosszú ösvény"
    _run("demo", home=home)
    return home


def _synced(home: Path) -> dict[str, Any]:
    return {company["key"]: company for company in json.loads(_run("sync", "--json", home=home))["companies"]}


def test_the_demo_verifies_itself_and_says_where_to_look_next(demo_home: Path) -> None:
    out = _run("demo", home=demo_home)
    assert "Every count and every sum agrees with the sandbox's books." in out
    assert "make dev" in out
    assert "100 unchanged" in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("PostgreSQL"))


def test_the_demos_companies_sync_later_with_the_sandbox_started_for_them(demo_home: Path) -> None:
    outcomes = _synced(demo_home)
    assert {key: (told["status"], told["unchanged"]) for key, told in outcomes.items()} == {
        "it-cardigan": ("success", 100),
        "arvizturo": ("success", 100),
        "ozon-bt": ("success", 61),
    }


def test_a_dump_that_cannot_be_written_is_told_in_one_sentence_though_its_server_stops(demo_home: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [COMMAND, "database", "dump"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "BILLINGO_HOME": str(demo_home)},
        )
    assert done.returncode == 1
    assert done.stderr == "billingo-assets: The output cannot be written (No space left on device).\n"


def test_the_demo_reports_tables_that_differ_from_the_books(demo_home: Path) -> None:
    _run("database", "psql", "-c", "UPDATE billingo.invoices SET gross_total = gross_total + 0.01", home=demo_home)
    assert "do not agree" in _run("demo", home=demo_home, code=1)
    # New rules make every row anew, which is how a user would mend this as well.
    _run("database", "psql", "-c", "UPDATE billingo.invoices SET normalizer_version = 0", home=demo_home)
    _run("demo", home=demo_home)


def test_the_demo_does_not_mix_with_companies_of_the_users_own(demo_home: Path) -> None:
    _run("database", "psql", "-c", "UPDATE billingo.companies SET is_demo = false WHERE id = 1", home=demo_home)
    assert "your own companies (it-cardigan)" in _run("demo", home=demo_home, code=2)
    _run("database", "psql", "-c", "UPDATE billingo.companies SET is_demo = true WHERE id = 1", home=demo_home)


def test_a_company_of_the_demo_leaves_with_its_documents(demo_home: Path) -> None:
    assert "are deleted: they are the demo's" in _run("company", "remove", "ozon-bt", "--yes", home=demo_home)
    left = "SELECT count(*) FROM billingo.raw_invoices WHERE company_id = 3"
    assert _run("database", "psql", "-Atc", left, home=demo_home) == "0\n"


def test_the_sandbox_serves_what_it_is_told_to_assume_until_it_is_told_to_stop() -> None:
    assumed = ("--assume", "page_size_cap=2", "--assume", "storno_amounts=positive")
    server = subprocess.Popen(
        [COMMAND, "sandbox", "--port", "0", "--documents", "60", *assumed], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        url = re.search(r"http://\S+/v3", server.stdout.readline())
        assert url
        key = server.stdout.readline().split()[-1]
        with httpx.Client(base_url=url[0], headers={"X-API-KEY": key}) as client:
            answer = client.get("/documents").json()
            assert (answer["total"], answer["per_page"], len(answer["data"])) == (60, 2, 2)
            (storno, *_) = client.get("/documents?type=cancellation").json()["data"]
            assert storno["gross_total"] > 0
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=PATIENCE_SECONDS) == 0
        server.stdout.close()


def test_an_assumption_that_the_sandbox_does_not_know_is_refused(tmp_path: Path) -> None:
    error = _run("sandbox", "--assume", "page_size=2", home=tmp_path, code=2)
    assert "Nothing named 'page_size' can be assumed. There are " in error
    assert "page_size_cap" in error


def test_a_server_that_dies_amid_a_sync_costs_one_company_and_is_brought_back() -> None:
    # A short path, at which the socket is the same for each server.
    with fresh_home() as home:
        kill_amid_a_sync(home)


def kill_amid_a_sync(home: Path) -> None:
    _run("demo", home=home)
    url = _run("database", "url", home=home).strip()
    environment = {**os.environ, "BILLINGO_HOME": str(home)}
    sync = subprocess.Popen(
        [COMMAND, "sync"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert sync.stderr is not None
    assert sync.stderr.readline() == "arvizturo: syncing\n"
    with psycopg.connect(url, autocommit=True) as connection:
        until(lambda: connection.execute(HOLDS_A_COMPANY).fetchone(), what="a sync that holds its company")
    postmaster = (home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
    os.kill(int(postmaster), signal.SIGKILL)
    out, err = sync.communicate(timeout=PATIENCE_SECONDS)
    assert sync.returncode == 1
    assert "3 companies: 2 successful, 0 partial, 1 failed" in out
    assert err.splitlines() == ["it-cardigan: syncing", "ozon-bt: syncing"]
    (told,) = re.findall("  error: (.*)", out)
    assert re.match("The (connection to the )?database .*(sync again|that the server runs)", told), told
