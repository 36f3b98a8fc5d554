"""Dagster's home, and where it keeps its runs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from sqlalchemy import URL, Engine, inspect, text

from billingo_assets.dagster_support.instance import (
    add_partitions,
    open_instance,
    prepare_dagster_home,
    remove_partition,
)
from billingo_assets.errors import ConfigurationError, DatabaseError
from billingo_assets.names import COMPANIES
from billingo_assets.project import project_root
from billingo_assets.settings import Settings, load_settings
from billingo_assets.warehouse.database import connecting, engine_for
from billingo_assets_tests.support.past_runs import leave_run
from billingo_assets_tests.support.patience import PATIENCE_SECONDS


def test_the_home_has_the_dagster_yaml_of_the_project() -> None:
    home = prepare_dagster_home(load_settings())
    assert home == load_settings().dagster_home
    assert (home / "dagster.yaml").resolve() == project_root() / "dagster.yaml"


def test_a_link_that_is_right_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    link = prepare_dagster_home(load_settings()) / "dagster.yaml"
    made = link.lstat().st_ino
    monkeypatch.delenv("DAGSTER_HOME")
    prepare_dagster_home(load_settings())
    assert link.lstat().st_ino == made


@pytest.mark.parametrize("stale", ["link to elsewhere", "file"])
def test_what_is_wrong_in_the_place_of_the_link_is_replaced(stale: str) -> None:
    link = load_settings().dagster_home / "dagster.yaml"
    link.parent.mkdir(parents=True)
    link.symlink_to("/nowhere/dagster.yaml") if stale != "file" else link.write_text("telemetry: {}")
    prepare_dagster_home(load_settings())
    assert link.resolve() == project_root() / "dagster.yaml"


def _prepare_at_once(folder: Path, rounds: int, start: Barrier) -> None:
    with pytest.MonkeyPatch.context() as environment:
        for number in range(rounds):
            environment.delenv("DAGSTER_HOME", raising=False)
            start.wait(timeout=PATIENCE_SECONDS)
            prepare_dagster_home(Settings(home=folder / str(number)))


def test_two_processes_can_make_the_home_at_once(tmp_path: Path) -> None:
    forking, rounds = multiprocessing.get_context("fork"), 100
    start = forking.Barrier(2)
    both = [forking.Process(target=_prepare_at_once, args=(tmp_path, rounds, start)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=PATIENCE_SECONDS)
    assert [process.exitcode for process in both] == [0, 0]
    for number in range(rounds):
        assert [path.name for path in (tmp_path / str(number) / "dagster").iterdir()] == ["dagster.yaml"]


def test_a_home_of_your_own_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own"))
    assert prepare_dagster_home(load_settings()) == tmp_path / "own"
    assert not load_settings().dagster_home.exists()


@pytest.mark.parametrize("home", ["/nonexistent", "relative", "/dev/null"])
def test_a_home_of_your_own_that_is_none_is_told_in_words(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relative").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", home)
    with pytest.raises(ConfigurationError, match=f"DAGSTER_HOME is {home}, which is not the absolute path of a folder"):
        open_instance(load_settings())


@pytest.mark.parametrize(
    "config", ["a: [1\nb: 2", "- a", "no_such_entry: 1", "storage: {custom: {module: nowhere, class: Nothing}}"]
)
def test_a_dagster_yaml_of_your_own_that_dagster_cannot_use_is_told_in_words(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(config)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=f"Dagster cannot use {tmp_path / 'dagster.yaml'}: "):
        open_instance(load_settings())


def test_what_dagster_says_of_its_own_retries_is_not_shown(instance: dg.DagsterInstance) -> None:
    program = """if True:
        import logging
        from billingo_assets.dagster_support.instance import open_instance
        from billingo_assets.settings import load_settings
        with open_instance(load_settings()):
            logging.warning("Retrying failed database creation")
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Retrying" not in done.stderr


def test_dagsters_tables_are_in_a_schema_of_their_own_in_the_same_database(
    instance: dg.DagsterInstance, engine: Engine
) -> None:
    tables = inspect(engine)
    assert {"runs", "event_logs", "dynamic_partitions", "alembic_version"} <= set(tables.get_table_names("dagster"))
    assert tables.get_table_names("public") == []


@pytest.fixture
def plain_role(admin: Engine, engine: Engine, instance: dg.DagsterInstance) -> Iterator[str]:
    """A role that may use what there is and create nothing; `instance` has made Dagster's tables before."""
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE plain LOGIN"))
        for schema in ("billingo", "dagster"):
            connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO plain"))
            connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO plain"))
            connection.execute(text(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO plain"))
    yield "plain"
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY plain"))
        connection.execute(text("DROP ROLE plain"))


def test_a_role_that_may_create_nothing_opens_an_instance_that_is_there(
    plain_role: str, database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"options": f"-c role={plain_role}"}
    url = database.update_query_dict(options).render_as_string(hide_password=False)
    monkeypatch.setenv("BILLINGO_DATABASE_URL", url)
    load_settings.cache_clear()
    with open_instance(load_settings()) as opened:
        assert opened.get_runs_count() == 0


def test_a_role_that_may_not_make_dagsters_tables_is_told_which_right_it_takes(
    empty_database: URL, admin: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", empty_database.render_as_string(hide_password=False))
    load_settings.cache_clear()
    with connecting(engine_for(empty_database, load_settings())) as connection, connection.begin():
        connection.execute(text("CREATE SCHEMA dagster"))
        connection.execute(text("CREATE ROLE weak"))
        connection.execute(text("GRANT USAGE ON SCHEMA dagster TO weak"))
    url = empty_database.update_query_dict({"options": "-c role=weak"})
    monkeypatch.setenv("BILLINGO_DATABASE_URL", url.render_as_string(hide_password=False))
    load_settings.cache_clear()
    try:
        with pytest.raises(DatabaseError, match=r"permission denied for schema dagster.*GRANT CREATE ON DATABASE"):
            open_instance(load_settings())
    finally:
        with connecting(engine_for(empty_database, load_settings())) as connection, connection.begin():
            connection.execute(text("DROP OWNED BY weak"))
            connection.execute(text("DROP ROLE weak"))


def _open(_: int) -> int:
    load_settings.cache_clear()
    with open_instance(load_settings()) as opened:
        return opened.get_runs_count()


def test_several_first_commands_at_once_make_dagsters_schema_once(
    server_url: URL, admin: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE first_commands"))
    monkeypatch.setenv(
        "BILLINGO_DATABASE_URL", server_url.set(database="first_commands").render_as_string(hide_password=False)
    )
    try:
        with multiprocessing.get_context("spawn").Pool(4) as commands:
            assert commands.map(_open, range(4)) == [0, 0, 0, 0]
    finally:
        with admin.connect() as connection:
            connection.execute(text("DROP DATABASE first_commands WITH (FORCE)"))


def test_a_home_that_cannot_be_made_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_HOME", "/dev/null/home")
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="cannot be created"):
        prepare_dagster_home(load_settings())


@pytest.mark.parametrize("folder", ["home", "home/dagster"])
def test_a_home_that_others_can_write_to_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "home" / "dagster").mkdir(mode=0o755, parents=True)
    (tmp_path / folder).chmod(0o775)
    with pytest.raises(ConfigurationError, match=f"Others on this machine can write to {tmp_path / folder}, and"):
        prepare_dagster_home(Settings(home=tmp_path / "home"))
    assert not (tmp_path / "home" / "dagster" / "dagster.yaml").exists()


def test_a_home_of_your_own_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own").chmod(0o757)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own"))
    with pytest.raises(ConfigurationError, match=f"Others on this machine can write to {tmp_path / 'own'}, and"):
        open_instance(load_settings())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, -1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        prepare_dagster_home(Settings(home=tmp_path / "home"))


def test_the_options_of_your_url_hold_for_dagsters_connections_too(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.update_query_dict({"options": "-c work_mem=7MB"}).render_as_string(hide_password=False)
    monkeypatch.setenv("BILLINGO_DATABASE_URL", url)
    load_settings.cache_clear()
    with open_instance(load_settings()) as opened, opened.event_log_storage.index_connection() as connection:
        assert connection.execute(text("SHOW work_mem")).scalar_one() == "7MB"


def test_telemetry_is_off(instance: dg.DagsterInstance) -> None:
    assert instance.telemetry_enabled is False


def test_a_company_that_has_its_partition_is_not_added_again(instance: dg.DagsterInstance) -> None:
    before = instance.get_dynamic_partitions(COMPANIES)
    add_partitions(instance, [before[0], "new-company"])
    assert instance.get_dynamic_partitions(COMPANIES) == [*before, "new-company"]


def test_a_partition_stays_while_its_run_waits_or_any_backfill_goes_on(
    instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    first, second, *others = instance.get_dynamic_partitions(COMPANIES)
    run = leave_run(instance, job, dg.DagsterRunStatus.QUEUED, company=first)
    remove_partition(instance, first)
    instance.report_run_canceled(run)
    begun = PartitionBackfill("a backfill", BulkActionStatus.REQUESTED, False, {}, datetime.now(UTC).timestamp())
    instance.add_backfill(begun)
    remove_partition(instance, second)
    assert instance.get_dynamic_partitions(COMPANIES) == [first, second, *others]
    instance.update_backfill(begun.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    remove_partition(instance, first)
    assert instance.get_dynamic_partitions(COMPANIES) == [second, *others]


def test_removing_a_partition_takes_only_that_one(instance: dg.DagsterInstance) -> None:
    first, *others = instance.get_dynamic_partitions(COMPANIES)
    remove_partition(instance, first)
    remove_partition(instance, "never-there")
    assert instance.get_dynamic_partitions(COMPANIES) == others
