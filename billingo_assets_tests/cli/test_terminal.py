"""The command at a real terminal: a prompt that does not echo, a progress bar, no traceback on Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest
from sqlalchemy import URL, Engine, text

from billingo_assets.companies.registry import Company
from billingo_assets.sandbox.faults import Fault
from billingo_assets.sandbox.server import SandboxServer
from billingo_assets.sandbox.world import World

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))
COLUMNS = 80


class Terminal:
    """A program on a pseudo-terminal: what it shows is collected, what is typed is sent."""

    def __init__(self, *words: str, **variables: str) -> None:
        self._controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, COLUMNS))
        self.shown = ""
        self._process = subprocess.Popen(
            [COMMAND, *words],
            env={**os.environ, "TERM": "xterm", **variables},
            # Its controlling terminal, in a session of its own: Ctrl-C is a signal then.
            preexec_fn=lambda: self._take(terminal),
            pass_fds=[terminal],
        )
        os.close(terminal)

    @staticmethod
    def _take(terminal: int) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may have been told to ignore it
        os.login_tty(terminal)

    def wait_for(self, words: str) -> None:
        """Read until the program has shown these words; its end before that is a failure."""
        while words not in self.shown:
            assert self._read(), f"ended without {words!r}: {self.shown}"

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._controller, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        os.close(self._controller)
        return self._process.wait()

    def _read(self) -> bool:
        try:
            read = os.read(self._controller, 65536)
        except OSError:  # the program closed the terminal
            return False
        self.shown += read.decode(errors="replace")
        return bool(read)


@pytest.fixture
def api_key(world: World) -> str:
    return world.company("ozon-bt").api_key


def test_the_api_key_is_asked_for_and_not_shown(database: URL, sandbox: SandboxServer, api_key: str) -> None:
    terminal = Terminal("company", "add", "ozon-bt", "--name", "Őzön Vízió Bt.")
    terminal.wait_for("API key (not shown): ")
    terminal.type(f"{api_key}\n")
    assert terminal.end() == 0
    assert "Added ozon-bt" in terminal.shown
    assert api_key not in terminal.shown


def test_ctrl_c_at_the_prompt_adds_nothing(database: URL, sandbox: SandboxServer) -> None:
    terminal = Terminal("company", "add", "ozon-bt", "--name", "Őzön Vízió Bt.")
    terminal.wait_for("API key (not shown): ")
    terminal.type("\x03")
    assert terminal.end() == 1
    assert "Traceback" not in terminal.shown
    assert not sandbox.requests


def test_a_sync_shows_a_bar_that_counts_documents(companies: dict[str, Company]) -> None:
    terminal = Terminal("sync", "it-cardigan")
    assert terminal.end() == 0
    assert "282/282" in terminal.shown
    assert "it-cardigan: syncing" not in terminal.shown


def test_ctrl_c_in_a_sync_ends_it_and_starts_no_other_company(
    companies: dict[str, Company], sandbox: SandboxServer, engine: Engine
) -> None:
    sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=4))
    terminal = Terminal("sync", "it-cardigan", "ozon-bt")
    terminal.wait_for("100/282")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Ended by Ctrl-C. The run under way is marked as failed" in " ".join(terminal.shown.split())
    assert "Traceback" not in terminal.shown
    assert "Aborted" not in terminal.shown
    assert {request.company for request in sandbox.requests} == {"it-cardigan"}
    with engine.connect() as connection:
        status = connection.execute(text("SELECT status FROM dagster.runs")).scalars().all()
    assert status in (["FAILURE"], ["CANCELED"])


def test_after_ctrl_c_the_next_sync_finds_the_lock_free(companies: dict[str, Company], sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=4))
    terminal = Terminal("sync", "it-cardigan")
    terminal.wait_for("100/282")
    terminal.type("\x03")
    terminal.end()
    terminal = Terminal("sync", "it-cardigan")
    assert terminal.end() == 0
    assert "182 created, 0 updated, 100 unchanged" in terminal.shown


@pytest.fixture
def told_to_end(companies: dict[str, Company], sandbox: SandboxServer, request: pytest.FixtureRequest) -> Terminal:
    """A sync that was sent a signal in the midst of reading, and has ended."""
    sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=4))
    terminal = Terminal("sync", "it-cardigan", "ozon-bt")
    terminal.wait_for("100/282")
    terminal.signal(request.param)
    assert terminal.end() == 128 + request.param
    return terminal


ENDS = pytest.mark.parametrize(
    "told_to_end", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name, indirect=True
)


@ENDS
def test_a_signal_ends_a_sync_in_words_and_starts_no_other_company(
    told_to_end: Terminal, sandbox: SandboxServer
) -> None:
    assert "Ended by SIG" in told_to_end.shown
    assert "Traceback" not in told_to_end.shown
    assert {request.company for request in sandbox.requests} == {"it-cardigan"}


@ENDS
def test_after_a_signal_the_run_is_marked_and_nothing_is_half_written(told_to_end: Terminal, engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SELECT status FROM dagster.runs")).scalars().all() == ["FAILURE"]
        assert connection.scalar(text("SELECT count(*) FROM billingo.raw_invoices")) == 100
        assert connection.scalar(text("SELECT count(*) FROM billingo.invoices")) == 0
        assert connection.scalar(text("SELECT count(*) FROM billingo.sync_state")) == 0


@ENDS
@pytest.mark.parametrize("words", ["status", "history"])
def test_after_a_signal_it_is_said_in_words_that_the_sync_was_interrupted(told_to_end: Terminal, words: str) -> None:
    terminal = Terminal(words)
    terminal.end()
    told = " ".join(terminal.shown.split())
    assert told.count("It was interrupted. The data stored so far is kept; the next run continues from there.") == 1
    assert "dagster" not in told.lower()


@ENDS
def test_after_a_signal_the_next_sync_finds_the_lock_free_and_goes_on(told_to_end: Terminal) -> None:
    terminal = Terminal("sync", "it-cardigan")
    assert terminal.end() == 0
    assert "182 created" in terminal.shown


@pytest.mark.parametrize(
    "words", [["sync", "ozon-bt"], ["history"], ["status"], ["doctor"]], ids=lambda words: words[0]
)
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(
    companies: dict[str, Company], world: World, words: list[str]
) -> None:
    world.company("ozon-bt").access = "no_subscription"
    subprocess.run([COMMAND, "sync", "ozon-bt"], check=False, capture_output=True)
    whole = subprocess.run([COMMAND, *words], check=False, capture_output=True, text=True).stdout
    terminal = Terminal(*words)
    terminal.end()
    lines = re.split(r"[\r\n]+", click.unstyle(terminal.shown))
    (told,) = {" ".join(line.split()) for line in whole.splitlines() if "Renew the subscription" in line}
    assert len(told) > COLUMNS >= max(len(line) for line in lines)
    assert told in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_left_out_for_who_wants_none_or_has_none(
    companies: dict[str, Company], variables: dict[str, str], coloured: bool
) -> None:
    terminal = Terminal("status", **variables)
    terminal.end()
    assert "ozon-bt" in terminal.shown
    assert ("\x1b[" in terminal.shown) is coloured
