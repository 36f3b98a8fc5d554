"""A PostgreSQL to be stopped, filled up and cut off, and a door in front of one. No tests here."""

from __future__ import annotations

import os
import select
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from billingo_assets.embedded_postgres import EmbeddedServer, embedded_server
from billingo_assets.settings import Settings
from billingo_assets.warehouse.database import engine_for, upgrade_database
from billingo_assets_tests.support.embedded_users import await_release, postmaster

TEMPLATE = "migrated"


class OwnServer:
    """A server that nobody else uses, with a template of a migrated database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._shares: list[EmbeddedServer] = []
        self.url = self.start()
        self.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", f"CREATE DATABASE {TEMPLATE}")
        migrated = self.url.set(database=TEMPLATE)
        settings = Settings(database_url=SecretStr(migrated.render_as_string(hide_password=False)))
        upgrade_database(settings)
        engine_for(migrated, settings).dispose()  # nobody may be in a database that is copied

    def start(self) -> URL:
        """Start it, or bring it back with its data."""
        self._shares.append(embedded_server(self.home))
        return make_url(self._shares[-1].url)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, SIGKILL none. Returns once nothing of it lives."""
        os.kill(postmaster(self.home), how)
        await_release(self.home, "server")
        await_release(self.home, "keeper")

    def close(self) -> None:
        for share in self._shares:
            share.close()
        await_release(self.home, "server")
        await_release(self.home, "keeper")

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A session of its own on the maintenance database."""
        return psycopg.connect(self.url.render_as_string(hide_password=False), autocommit=True)

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def socket(self) -> Path:
        return Path(unquote(str(self.url.query["host"])))


@contextmanager
def own_server() -> Iterator[OwnServer]:
    # Not below pytest's own folder, which is private to whoever runs the tests.
    with tempfile.TemporaryDirectory(prefix="billingo-tests-") as home:
        server = OwnServer(Path(home))
        try:
            yield server
        finally:
            server.close()


class Door(socketserver.ThreadingUnixStreamServer):
    """A socket that leads to the server's, and shuts for whoever asks to commit, when it is told to."""

    daemon_threads = True

    def __init__(self, directory: Path, leads_to: Path) -> None:
        self.leads_to = leads_to / ".s.PGSQL.5432"
        self.directory = directory
        self.cut: str | None = None
        super().__init__(str(directory / ".s.PGSQL.5432"), _Passage)

    def __enter__(self) -> Door:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()

    def cut_next_commit(self, where: str) -> None:
        """Cut the connection `before` the next COMMIT reaches the server, or `after` it was done, before it is told."""
        self.cut = where


class _Passage(socketserver.BaseRequestHandler):
    server: Door
    COMMIT: ClassVar = b"COMMIT\0"

    def handle(self) -> None:
        client: socket.socket = self.request
        with socket.socket(socket.AF_UNIX) as server, suppress(ConnectionError):
            server.connect(str(self.server.leads_to))
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65_536)
                    if not data:
                        return
                    if source is client and self.server.cut and self.COMMIT in data:
                        where, self.server.cut = self.server.cut, None
                        if where == "after":
                            server.sendall(data)
                            while self.COMMIT not in server.recv(65_536):
                                pass
                        return
                    (server if source is client else client).sendall(data)


class SmallDisk:
    """A file system of a few megabytes, which can be filled up and emptied."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(server: OwnServer, *, mebibytes: int = 48) -> Iterator[SmallDisk]:
    """The disk of the tablespace `small`. Skips the test where nothing can be mounted."""
    directory = server.home / "postgres" / "small"
    directory.mkdir()
    try:
        owner = (server.home / "postgres" / "data").stat()
        options = f"size={mebibytes}m,mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("a small disk cannot be mounted: there is no program `mount`")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"a small disk cannot be mounted: {error.stderr.strip()}")
        try:
            server.run(f"CREATE TABLESPACE small LOCATION '{directory}'")
            yield SmallDisk(directory)
        finally:
            server.run("DROP TABLESPACE small")
            subprocess.run(["umount", str(directory)], check=True)
    finally:
        directory.rmdir()
