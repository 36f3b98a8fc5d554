"""When the embedded server starts, who shares it, and when it stops. Real processes, really killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from billingo_assets.embedded_postgres import embedded_server
from billingo_assets_tests.support.embedded_users import (
    User,
    ask,
    await_release,
    is_held,
    parent,
    postmaster,
)
from billingo_assets_tests.support.patience import until


def test_two_processes_that_start_at_once_on_a_fresh_folder_share_one_server(home: Path) -> None:
    users = [User(home), User(home)]
    first, second = [user.url() for user in users]
    assert first == second
    assert ask(first, "SELECT current_database() || current_user") == "billingobillingo"
    assert (home / "postgres" / "server.log").read_text().count("starting PostgreSQL") == 1


def test_the_server_stays_while_one_user_lives_and_stops_with_the_last(used_home: Path) -> None:
    first, last = User(used_home), User(used_home)
    url = first.url()
    assert last.url() == url
    first.leave()
    assert ask(url, "SELECT 1") == 1
    last.leave()
    await_release(used_home, "server")
    await_release(used_home, "keeper")
    assert not (used_home / "postgres" / "data" / "postmaster.pid").exists(), "the server did not shut down in order"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_server_stops_however_its_last_user_is_ended(used_home: Path, how: signal.Signals) -> None:
    user = User(used_home)
    user.url()
    user.kill(how)
    await_release(used_home, "server")
    assert not (used_home / "postgres" / "data" / "postmaster.pid").exists()


def test_a_server_that_is_held_for_seconds_has_time_to_clean_up(used_home: Path) -> None:
    user = User(used_home)
    with psycopg.connect(user.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE used AS SELECT number FROM generate_series(1, 10000) AS number")
        connection.execute("DELETE FROM used")
        # The server looks after the default of a minute, at a fresh start after a third of it.
        cleanings = "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'used'"
        until(lambda: _one(connection, cleanings) or None, what="a cleaning")
        connection.execute("DROP TABLE used")
    user.leave()


def _one(connection: psycopg.Connection, query: LiteralString) -> object:
    row = connection.execute(query).fetchone()
    return row and row[0]


def test_a_user_killed_while_it_starts_the_server_leaves_nothing_running_and_the_next_one_starts(
    home: Path,
) -> None:
    (home / "postgres" / "locks").mkdir(parents=True, mode=0o700)
    hurried = User(home)
    while not is_held(home, "start") if (home / "postgres/locks/start").exists() else True:
        time.sleep(0.001)
    hurried.kill()
    assert ask(User(home).url(), "SELECT 1") == 1


def test_a_server_whose_keeper_was_killed_runs_on_and_the_next_user_brings_a_keeper_that_stops_it(
    used_home: Path,
) -> None:
    first = User(used_home)
    url, server = first.url(), postmaster(used_home)
    os.kill(parent(server), signal.SIGKILL)
    await_release(used_home, "keeper")
    second = User(used_home)
    assert second.url() == url
    assert postmaster(used_home) == server, "the running server was not adopted"
    first.leave()
    assert ask(url, "SELECT 1") == 1
    second.leave()
    await_release(used_home, "server")


def test_a_server_that_died_under_its_users_is_brought_back_with_its_data_by_the_next_call(
    used_home: Path,
) -> None:
    with embedded_server(used_home) as ours:
        with psycopg.connect(ours.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(postmaster(used_home), signal.SIGKILL)
        with embedded_server(used_home) as again:
            assert ask(again.url, "SELECT answer FROM kept") == 42
            assert ask(User(used_home).url(), "SELECT answer FROM kept") == 42


def test_an_adopted_server_that_dies_is_brought_back_too(used_home: Path) -> None:
    with embedded_server(used_home):
        os.kill(parent(postmaster(used_home)), signal.SIGKILL)
        await_release(used_home, "keeper")
        with embedded_server(used_home):
            os.kill(postmaster(used_home), signal.SIGKILL)
            with embedded_server(used_home) as again:
                assert ask(again.url, "SELECT 1") == 1


def test_a_process_that_got_the_dead_servers_id_after_a_crash_does_not_stop_the_next_start(
    used_home: Path,
) -> None:
    user = User(used_home)
    user.url()
    server = postmaster(used_home)
    os.kill(parent(server), signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    user.kill()
    await_release(used_home, "server")
    left_behind = used_home / "postgres" / "data" / "postmaster.pid"
    left_behind.write_text(left_behind.read_text().replace(str(server), str(os.getpid()), 1))
    with embedded_server(used_home) as started:
        assert ask(started.url, "SELECT 1") == 1


def test_a_user_that_comes_while_the_server_stops_waits_and_gets_a_new_one(used_home: Path) -> None:
    last = User(used_home)
    last.url()
    stopping = postmaster(used_home)
    os.kill(stopping, signal.SIGSTOP)
    last.leave()
    while not is_held(used_home, "users"):  # until the keeper has found nobody left
        time.sleep(0.001)
    late = User(used_home)
    os.kill(stopping, signal.SIGCONT)
    assert ask(late.url(), "SELECT 1") == 1
    assert postmaster(used_home) != stopping


def test_several_shares_in_one_process_count_and_closing_one_twice_is_harmless(used_home: Path) -> None:
    first, second = embedded_server(used_home), embedded_server(used_home)
    first.close()
    first.close()
    assert ask(second.url, "SELECT 1") == 1
    assert not is_held(used_home, "users")
    second.close()
    await_release(used_home, "server")


def test_a_forked_child_is_a_user_until_it_ends(used_home: Path) -> None:
    server = embedded_server(used_home)
    wait, release = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(release)
        os.read(wait, 1)
        os._exit(0)
    server.close()
    assert ask(server.url, "SELECT 1") == 1
    running = is_held(used_home, "server")
    os.close(release)
    os.waitpid(child, 0)
    os.close(wait)
    assert running
    await_release(used_home, "server")


def test_a_forked_child_that_closes_takes_nothing_from_its_parent(used_home: Path) -> None:
    with embedded_server(used_home) as server:
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        os.waitpid(child, 0)
        late = User(used_home)
        late.url()
        late.leave()
        assert ask(server.url, "SELECT 1") == 1


def test_a_program_that_a_user_executes_is_no_user(used_home: Path) -> None:
    server = embedded_server(used_home)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as program:
        server.close()
        await_release(used_home, "server")
        assert program.poll() is None
        program.kill()


def test_a_home_that_was_deleted_and_made_again_gets_a_server_that_stays(home: Path) -> None:
    first = embedded_server(home)
    os.kill(postmaster(home), signal.SIGKILL)
    await_release(home, "keeper")
    (home / "postgres").rename(home / "gone")
    with embedded_server(home) as second:
        first.close()
        assert is_held(home, "users", against=fcntl.LOCK_EX)
        assert not is_held(home, "users"), "the keeper found nobody and stops the server"
        assert ask(second.url, "SELECT 1") == 1
