"""Who may use the embedded server and from where: accounts, permissions, paths, environments, the log."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest

import billingo_assets
from billingo_assets.embedded_postgres import EmbeddedServerError, account, address, embedded_server
from billingo_assets.embedded_postgres.cluster import programs
from billingo_assets.embedded_postgres.server import LOG_BYTES
from billingo_assets.errors import ConfigurationError
from billingo_assets_tests.support.embedded_users import (
    NOBODY,
    User,
    ask,
    await_release,
    fresh_home,
    parent,
    postmaster,
    python_for,
)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a second user")


NEEDED = """
import sys, billingo_assets.embedded_postgres
print(*{name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)})
"""


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """What an embedded server needs where any user may read it: the checkout may lie in root's own folder."""
    ours, postgresql = Path(billingo_assets.__file__).parent, programs().root.parent
    asked = subprocess.run([sys.executable, "-c", NEEDED], check=True, cwd=ours.parent, capture_output=True, text=True)
    site = postgresql.parent
    # An editable install has a folder of the package's name there too.
    words = set(asked.stdout.split()) - {ours.name}
    needed = [site / name for word in words for name in (word, f"{word}.py")]
    with tempfile.TemporaryDirectory(prefix="billingo-public-", dir="/tmp") as folder:
        for part in {ours, postgresql, postgresql.with_name(f"{postgresql.name}.libs"), *needed}:
            if part.is_dir():
                shutil.copytree(part, Path(folder, part.name), symlinks=True)
            elif part.is_file():
                shutil.copy(part, folder)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        yield Path(folder)


def psql_as(uid: int, url: str, public: Path) -> str:
    """Return what psql says to another user: the role it got, or the error."""
    psql = public / programs().root.relative_to(programs().root.parents[1]) / "bin" / "psql"
    done = subprocess.run(
        [psql, url, "-Atc", "SELECT current_user"],
        user=uid, group=uid, extra_groups=[], cwd="/", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout.strip()


@only_root
@pytest.mark.skipif(
    os.geteuid() == 0 and python_for(NOBODY) is None, reason="no Python of this version that an ordinary user may run"
)
def test_an_ordinary_users_server_admits_that_user_and_not_even_root(public: Path) -> None:
    with fresh_home(NOBODY) as home:
        url = User(home, uid=NOBODY, packages=public).url()
        assert psql_as(NOBODY, url, public) == "billingo"
        assert (home / "postgres" / "data").stat().st_uid == NOBODY
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(url)
        with pytest.raises(ConfigurationError, match="belongs to another user"):
            embedded_server(home)


@only_root
def test_roots_server_runs_as_an_unprivileged_account_that_cannot_log_in_itself(used_home: Path, public: Path) -> None:
    with embedded_server(used_home) as server:
        assert ask(server.url, "SELECT current_user") == "billingo"
        owner = (used_home / "postgres" / "data").stat().st_uid
        assert owner != 0
        assert "Peer authentication failed" in psql_as(owner, server.url, public)
        assert (used_home / "postgres" / "postgresql.conf").stat().st_uid == 0


@only_root
def test_another_user_does_not_even_reach_the_socket_of_roots_server(used_home: Path, public: Path) -> None:
    with embedded_server(used_home) as server:
        owner = (used_home / "postgres" / "data").stat().st_uid
        assert "Permission denied" in psql_as(1 if owner != 1 else 2, server.url, public)
        for directory in (used_home.parent, used_home / "postgres"):
            listing = subprocess.run(["ls", directory], user=owner, group=owner, extra_groups=[], capture_output=True)
            assert listing.returncode != 0, f"{directory} became readable for the server's account"


@only_root
def test_data_once_made_keep_their_owner(home: Path) -> None:
    data = home / "data"
    data.mkdir(parents=True)
    os.chown(data, 54321, 54321)
    assert account.server_account(data) == account.Account(54321, 54321)


@only_root
def test_a_granted_passage_changes_no_other_permission(home: Path) -> None:
    home.mkdir()
    entry = struct.Struct("<HHI")
    nobody_knows = 0xFFFFFFFF
    # Another user has everything by name, of which the mask leaves reading.
    before = [(0x01, 7, nobody_knows), (0x02, 7, 4242), (0x04, 0, nobody_knows), (0x10, 4, nobody_knows)]
    before.append((0x20, 0, nobody_knows))
    os.setxattr(home, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(entry.pack(*e) for e in before))
    for _ in range(2):
        account.open_way(home, account.Account(NOBODY, NOBODY))
        after = list(entry.iter_unpack(os.getxattr(home, "system.posix_acl_access")[4:]))
        assert after == [
            (0x01, 7, nobody_knows), (0x02, 4, 4242), (0x02, 1, NOBODY),
            (0x04, 0, nobody_knows), (0x10, 5, nobody_knows), (0x20, 0, nobody_knows),
        ]  # fmt: skip


@only_root
def test_programs_installed_for_root_alone_can_be_run_by_the_servers_account(home: Path) -> None:
    program = home / "pginstall" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ncat $(dirname $0)/../share\n")
    (home / "pginstall" / "share").write_text("found")
    for path, mode in ((program, 0o700), (home / "pginstall" / "share", 0o600), (home / "pginstall", 0o700)):
        path.chmod(mode)
    account.open_programs(home / "pginstall", account.Account(NOBODY, NOBODY))
    done = subprocess.run([program], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, cwd="/")
    assert done.stdout == b"found"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_data_are_private_under_any_umask(home: Path, umask: int) -> None:
    assert ask(User(home, umask=umask).url(), "SELECT 1") == 1
    for private in ("", "locks", "data"):
        assert (home / "postgres" / private).stat().st_mode & stat.S_IRWXO == 0
    assert (home / "postgres" / "server.log").stat().st_mode & 0o777 == 0o600


def test_the_users_environment_changes_nothing(used_home: Path) -> None:
    url = User(
        used_home, LC_ALL="hu_HU.UTF-8", TZ="Asia/Tokyo", TMPDIR="/nonexistent",
        PGDATA="/nonexistent", PGPORT="1", PGUSER="mallory", BILLINGO_ENCRYPTION_KEYS="secret",
    ).url()  # fmt: skip
    for process in (server := postmaster(used_home), parent(server)):
        told = subprocess.run(["ps", "eww", "-p", str(process)], capture_output=True, check=True).stdout
        assert b"LC_ALL=C " in told
        assert b"ENCRYPTION" not in told
    settings = {
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "listen_addresses": "",
        "fsync": "on",
        "port": "5432",
    }
    for name, value in settings.items():
        assert ask(url, f"SELECT current_setting('{name}')") == value
    assert ask(url, "SELECT datlocale FROM pg_database WHERE datname = 'billingo'") == "C.UTF-8"


def test_a_path_too_long_for_a_socket_with_spaces_and_accents_works_and_leaves_no_trace(home: Path) -> None:
    deep = home / "Árvíztűrő tükörfúrógép, 50%" / ("számlák és díjbekérők " * 5)
    with embedded_server(deep) as server, embedded_server(deep) as joined:
        assert server.url == joined.url
        assert ask(server.url, "SELECT 1") == 1
        short = Path(unquote(server.url.partition("?host=")[2])).parent
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
        shutil.rmtree(short)  # as a cleaner of the temporary directory would
        with embedded_server(deep) as again:
            assert again.url == server.url
            assert ask(again.url, "SELECT 1") == 1
    await_release(deep, "keeper")
    assert not short.exists()


def test_a_comma_in_the_path_does_not_split_the_host(home: Path) -> None:
    with embedded_server(home / "a,b") as server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_short_path_that_others_can_enter_is_not_trusted(home: Path) -> None:
    deep = home / ("x" * 100)
    deep.mkdir(parents=True)
    (deep / "data").mkdir()
    first = address.socket_directory(deep)
    assert address.socket_directory(deep) == first
    first.parent.chmod(0o777)
    second = address.socket_directory(deep)
    assert second.parent != first.parent
    for alias in (first, second):
        shutil.rmtree(alias.parent)


def test_a_failure_to_start_is_told_with_the_logs_last_words_and_leaves_nothing_running(home: Path) -> None:
    embedded_server(home).close()
    await_release(home, "server")
    control = home / "postgres" / "data" / "global" / "pg_control"
    control.rename(control.with_name("hidden"))
    with pytest.raises(EmbeddedServerError, match=r"(?s)did not start: it ended with status \d.*pg_control"):
        embedded_server(home)
    await_release(home, "keeper")
    control.with_name("hidden").rename(control)
    with embedded_server(home) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_data_of_another_major_version_are_refused_and_stay_untouched(home: Path) -> None:
    embedded_server(home).close()
    await_release(home, "server")
    (home / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError, match="PostgreSQL 16 made the data"):
        embedded_server(home)


def test_a_home_that_cannot_be_made_is_told_in_words(home: Path) -> None:
    home.write_text("a file, not a directory")
    with pytest.raises(EmbeddedServerError, match=r"cannot be used: .*BILLINGO_HOME"):
        embedded_server(home)


def test_an_unfinished_data_directory_is_made_anew(home: Path) -> None:
    unfinished = home / "postgres" / "data.new"
    unfinished.mkdir(parents=True, mode=0o700)
    (unfinished / "half").write_text("an initdb was killed here")
    with embedded_server(home) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_the_log_tells_of_the_server_and_nothing_of_statements(used_home: Path) -> None:
    with embedded_server(used_home) as server:
        with (
            psycopg.connect(server.url) as connection,
            pytest.raises(psycopg.errors.InvalidTextRepresentation),
        ):
            connection.execute("SELECT 'HU12345678'::numeric")
        log = (used_home / "postgres" / "server.log").read_text()
    assert "ready to accept connections" in log
    assert "HU12345678" not in log


def test_a_long_log_is_cut_back_by_whoever_joins(used_home: Path) -> None:
    with embedded_server(used_home) as server:
        log = used_home / "postgres" / "server.log"
        os.truncate(log, LOG_BYTES + 1)
        with embedded_server(used_home):
            assert log.stat().st_size < LOG_BYTES
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url, user="nobody-of-that-name")
        assert 0 < log.stat().st_size < LOG_BYTES
