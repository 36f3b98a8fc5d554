"""A PostgreSQL as users bring it (the oldest at hand, over TCP, with a password), and a company without a source."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from billingo_assets.companies.registry import Company, add_company
from billingo_assets.warehouse.embedded.account import open_programs, server_account
from billingo_assets.warehouse.embedded.cluster import ENVIRONMENT, programs

PASSWORD = "jelszó: titok"


@pytest.fixture(scope="session")
def own_server() -> Iterator[URL]:
    """The URL of the database `postgres` of a server that asks for a password."""
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
            user=account.uid, group=account.gid, extra_groups=[],
        )  # fmt: skip

    try:
        run("initdb", "-U", "owner", "-A", "scram-sha-256", f"--pwfile={root / 'password'}", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -p {port}"
        run("pg_ctl", "start", "-w", "-l", str(root / "log"), "-o", options)
        yield URL.create("postgresql", "owner", PASSWORD, "127.0.0.1", port, "postgres")
        run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(root)


@pytest.fixture
def company(engine: Engine) -> Company:
    with engine.begin() as connection:
        return add_company(connection, key="proba", name="Próba Kft.", tax_code=None, api_key_encrypted="-")
