"""A PostgreSQL as users bring it (the oldest at hand, over TCP, with a password), and a company without a source."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from billingo_assets.companies.registry import Company, add_company
from billingo_assets.embedded_postgres.account import open_programs, server_account
from billingo_assets.embedded_postgres.cluster import ENVIRONMENT, programs
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets.warehouse.roles import MASKED, READER, SYNC
from billingo_assets_tests.support.programs import is_root

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))
_numbers = itertools.count(1)

PASSWORD = "jelszó: titok"


@contextmanager
def server_with_password(*, standby_after: Callable[[URL], object] | None = None) -> Iterator[URL]:
    """The URL of the database `postgres` of a server that asks for a password; a standby after something was done."""
    root = Path(tempfile.mkdtemp(prefix="billingo-test-", dir="/tmp"))
    installed = min(programs().root.parent.glob("pginstall*"), key=lambda path: len(path.name)).resolve()
    account = server_account(root / "data")
    os.chown(root, account.uid, account.gid)
    open_programs(installed, account)
    (root / "password").write_text(PASSWORD)
    os.chown(root / "password", account.uid, account.gid)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def run(program: str, *words: str) -> None:
        subprocess.run(
            [installed / "bin" / program, "-D", root / "data", *words],
            check=True, stdout=subprocess.DEVNULL, cwd="/", env=ENVIRONMENT,
            user=account.uid if is_root() else None,
            group=account.gid if is_root() else None,
            extra_groups=[] if is_root() else None,
        )  # fmt: skip

    options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -p {port}"
    start = ("start", "-w", "-l", str(root / "log"), "-o", options)
    url = URL.create("postgresql", "owner", PASSWORD, "127.0.0.1", port, "postgres")
    try:
        run("initdb", "-U", "owner", "-A", "scram-sha-256", f"--pwfile={root / 'password'}", "-E", "UTF8", "--no-sync")
        run("pg_ctl", *start)
        if standby_after is not None:
            standby_after(url)
            run("pg_ctl", "stop", "-w", "-m", "fast")
            (root / "data" / "standby.signal").touch()
            run("pg_ctl", *start)
        yield url
        run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def own_server() -> Iterator[URL]:
    """A server as others run it, for all tests of a run."""
    with server_with_password() as url:
        yield url


@pytest.fixture
def company(engine: Engine) -> Company:
    with engine.begin() as connection:
        return add_company(connection, key="proba", name="Próba Kft.", tax_code=None, api_key_encrypted="-")


class Books:
    """A database on the server that asks for passwords, made by an owner who is no superuser; logins to it at will."""

    def __init__(self, server: URL, name: str) -> None:
        self._admin = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        self._logins: list[str] = []
        self.environment: dict[str, str] = {}
        self._server = server.set(database=name)
        self.owner = self.login("owner", "CREATEROLE")
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} OWNER {self.owner.username} TEMPLATE template0"))
            for group in (SYNC, READER, MASKED):  # other databases of this server have made them
                if connection.scalar(text("SELECT oid FROM pg_roles WHERE rolname = :group"), {"group": group}):
                    connection.execute(text(f"GRANT {group} TO {self.owner.username} WITH ADMIN OPTION"))

    def login(self, name: str, attributes: str = "") -> URL:
        """Make a role as an administrator does: `attributes` as in CREATE ROLE."""
        role = f"{self._server.database}_{name}"
        self.administer(f"CREATE ROLE {role} LOGIN PASSWORD 'x' {attributes}")
        self._logins.append(role)
        return self._server.set(username=role, password="x")

    def administer(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))

    def run(self, who: URL, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command in a process of its own, on this database as that login."""
        own = {"BILLINGO_DATABASE_URL": who.render_as_string(hide_password=False), **self.environment}
        return subprocess.run(
            [COMMAND, *words], input=stdin, capture_output=True, text=True, env={**os.environ, **own}, check=False
        )

    def done(self, who: URL, *words: str, stdin: str = "") -> str:
        """What the command says where it must not fail."""
        answer = self.run(who, *words, stdin=stdin)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def close(self) -> None:
        self.administer(f"DROP DATABASE IF EXISTS {self._server.database} WITH (FORCE)")
        self.drop_logins()
        self._admin.dispose()

    def drop_logins(self, *, keep: Collection[str] = ()) -> None:
        kept = [f"{self._server.database}_{name}" for name in keep]
        for role in reversed(self._logins):  # the owner last: it made the others members
            if role not in kept:
                self.administer(f"DROP ROLE IF EXISTS {role}")
        self._logins = kept


@dataclass(frozen=True)
class SyncedBooks:
    """A database with two companies of the sandbox, registered and synced by a login that is in billingo_sync alone.

    `outcomes` is what `sync --json` told.
    """

    books: Books
    pipeline: URL
    world: World
    outcomes: list[dict[str, Any]]


@pytest.fixture(scope="module")
def synced(own_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncedBooks]:
    """Shared by the tests of a module, which take back what they change, or change what no other looks at."""
    world, books = World(), Books(own_server, f"books_{next(_numbers)}")
    with SandboxServer(world) as sandbox:
        books.environment = {
            "BILLINGO_API_URL": sandbox.url,
            "BILLINGO_REQUESTS_PER_MINUTE": "0",
            "BILLINGO_HOME": str(tmp_path_factory.mktemp("home")),
        }
        try:
            books.done(books.owner, "database", "upgrade")
            pipeline = books.login("pipeline", "IN ROLE billingo_sync")
            for key in ("it-cardigan", "ozon-bt"):
                words = ("company", "add", key, "--name", world.company(key).name, "--api-key-stdin")
                books.done(pipeline, *words, stdin=world.company(key).api_key)
            outcomes = json.loads(books.done(pipeline, "sync", "--json"))["companies"]
            yield SyncedBooks(books, pipeline, world, outcomes)
        finally:
            books.close()


@pytest.fixture
def books(own_server: URL) -> Iterator[Books]:
    made = Books(own_server, f"books_{next(_numbers)}")
    yield made
    made.close()


def ask(who: URL, statement: str) -> list[tuple[Any, ...]]:
    """The answer to a statement, asked by that login."""
    engine = create_engine(who.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        answer = connection.execute(text(statement))
        return [tuple(row) for row in answer] if answer.returns_rows else []


def refusal(who: URL, statement: str) -> str:
    """What PostgreSQL says to a login whose statement it refuses."""
    with pytest.raises(DBAPIError) as refused:
        ask(who, statement)
    return str(refused.value.orig)
