"""A sync in a process of its own, that can be made to wait. No tests here.

The first line of its input says, as JSON, what to sync. It tells what it has come to, a line each, and waits at
`hold` until another line of input comes: "stored", once pages were stored; "read", once a page was read that is not
stored yet.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from pydantic import SecretStr
from sqlalchemy import make_url

from billingo_assets.billingo.client import BillingoClient, Limits
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.companies.registry import get_company
from billingo_assets.settings import Settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.context import SyncContext
from billingo_assets.sync.engine import sync_company
from billingo_assets.sync.report import Progress
from billingo_assets.warehouse.database import engine_for
from billingo_assets.warehouse.locks import company_lock
from billingo_assets_tests.support.books import Books


class OtherProcess:
    """The test's side of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def _input(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def told(self) -> str:
        """The next line it tells; empty once it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        """Let it go on from where it holds."""
        self._input.write("\n")
        self._input.flush()

    def kill(self) -> None:
        """End it as the kernel would: without a chance to do anything."""
        self._process.kill()
        self._process.wait()


@contextmanager
def syncing(books: Books, *, run_id: str, hold: str = "", wait_seconds: float = 0.0) -> Iterator[OtherProcess]:
    """Sync the books of a company in a process of its own while the block runs."""
    order = {
        "database": books.engine.url.render_as_string(hide_password=False),
        "api_url": books.sandbox.url,
        "api_key": books.served.api_key,
        "company": books.company.key,
        "run_id": run_id,
        "hold": hold,
        "wait_seconds": wait_seconds,
    }
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            yield OtherProcess(process)
        finally:
            process.kill()


class _HoldingClient(BillingoClient):
    """Waits between a page's answer and those who want it."""

    hold: Callable[[], None] = staticmethod(lambda: None)

    def records(self, path: str, **asked: Any) -> RecordsPage:
        page = super().records(path, **asked)
        self.hold()
        return page


def main() -> None:
    order = json.loads(sys.stdin.readline())
    held: list[str] = []

    def hold(at: str) -> None:
        if order["hold"] == at and not held:
            held.append(at)
            tell(at)
            sys.stdin.readline()

    def on_page(progress: Progress) -> None:
        hold("stored")

    engine = engine_for(make_url(order["database"]), Settings())
    limits = Limits(requests_per_minute=0, concurrent_requests=1)
    client = _HoldingClient(api_url=order["api_url"], api_key=SecretStr(order["api_key"]), limits=limits)
    client.hold = lambda: hold("read")
    try:
        with client, engine.connect() as connection:
            with connection.begin():
                company = get_company(connection, order["company"])
            lock = company_lock(
                connection,
                company.id,
                company=company.key,
                by=f"run {order['run_id']}",
                wait_seconds=order["wait_seconds"],
            )
            with lock:
                report = sync_company(
                    SyncContext(
                        client=client,
                        connection=connection,
                        stream=DOCUMENTS,
                        company=company,
                        run_id=order["run_id"],
                        on_page=on_page,
                        full=True,
                    )
                )
        tell(f"done: {report.processed} documents")
    except Exception as error:
        tell(f"{type(error).__name__}: {str(error).splitlines()[0]}")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
