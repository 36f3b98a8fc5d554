"""A server that can be read but not written to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import URL

from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World
from billingo_assets_tests.warehouse.conftest import Books, server_with_password

WORDS = "its server is a standby. Set BILLINGO_DATABASE_URL to the primary"


@pytest.fixture(scope="module")
def standby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """A company's books on a server that has become a standby."""
    made: list[Books] = []
    home, world = tmp_path_factory.mktemp("home"), World()

    def make_books(server: URL) -> None:
        books = Books(server, "books")
        books.environment = {"BILLINGO_API_URL": sandbox.url, "BILLINGO_HOME": str(home)}
        books.done(books.owner, "database", "upgrade")
        words = ("company", "add", "ozon-bt", "--name", "Ózon Bt.", "--api-key-stdin")
        books.done(books.owner, *words, stdin=world.company("ozon-bt").api_key)
        made.append(books)

    with SandboxServer(world) as sandbox, server_with_password(standby_after=make_books):
        yield made[0]


@pytest.mark.parametrize("words", [["sync"], ["dev"], ["company", "disable", "ozon-bt"], ["doctor"]], ids=" ".join)
def test_what_writes_says_that_the_server_is_a_standby(standby: Books, words: list[str]) -> None:
    answer = standby.run(standby.owner, *words)
    assert answer.returncode == 2
    assert WORDS in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("words", [["company", "list"], ["history"], ["status"]], ids=" ".join)
def test_what_only_reads_works_on_a_standby(standby: Books, words: list[str]) -> None:
    answer = standby.run(standby.owner, *words)
    assert answer.returncode == (1 if words == ["status"] else 0)  # yellow: nothing was synced yet
    assert answer.stderr == ""
