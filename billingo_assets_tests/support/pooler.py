"""PgBouncer in front of a PostgreSQL, on loopback. No tests here."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from billingo_assets.embedded_postgres.account import server_account
from billingo_assets_tests.support.patience import until
from billingo_assets_tests.support.programs import Needed, apt_get, first_that_starts, installed, is_root

NO_PGBOUNCER = (
    "No PgBouncer was found, and the tests of connection poolers need one. Install it with your system's packages"
    " (on Debian: `sudo apt-get install pgbouncer`)."
)

# A careless one, as it is found where other programs sent what it did not know.
CONFIGURATION = """
[databases]
* = host={server.host} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = 30
server_round_robin = {round_robin:d}
ignore_startup_parameters = options, extra_float_digits
logfile = {folder}/log
"""


def _find() -> Path:
    return first_that_starts(installed("pgbouncer"), "--version", otherwise=NO_PGBOUNCER)


PGBOUNCER = Needed("PgBouncer", _find, apt_get("pgbouncer"))


@contextmanager
def pooler(server: URL, mode: str, *, round_robin: bool = False) -> Iterator[int]:
    """The port of a pooler in that mode, which lets in the login of the URL and others with its password."""
    program = _find()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    account = server_account(Path("/nowhere"))  # it does not run as root either
    with tempfile.TemporaryDirectory(prefix="billingo-tests-") as directory:
        folder = Path(directory)
        (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(**locals()))
        (folder / "users").write_text(f'"{server.username}" "{server.password}"\n')
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.uid, account.gid)
        process = subprocess.Popen(
            [program, "--quiet", folder / "pgbouncer.ini"],
            cwd="/",
            user=account.uid if is_root() else None,
            group=account.gid if is_root() else None,
            extra_groups=[] if is_root() else None,
        )

        def answers() -> bool | None:
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0 or None

        try:
            until(answers, what="PgBouncer")
            yield port
        finally:
            process.kill()  # to be asked to end, PgBouncer 1.23 and newer wait for every client
            process.wait()
