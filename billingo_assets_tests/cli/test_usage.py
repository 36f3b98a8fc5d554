"""Wrong usage and wrong settings: a sentence and exit code 2, whatever the command."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from billingo_assets.companies.registry import Company
from billingo_assets_tests.cli.conftest import Command

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BILLINGO_CONCURENT_REQUESTS", "3", "Did you mean BILLINGO_CONCURRENT_REQUESTS?"),
        ("BILLINGO_CONCURRENT_REQUESTS", "many", "BILLINGO_CONCURRENT_REQUESTS"),
        ("BILLINGO_API_URL", "http://example.com/v3", "must be https"),
        ("BILLINGO_TIMEZONE", "Europe/Budapst", "BILLINGO_TIMEZONE"),
    ],
)
def test_a_wrong_setting_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    answer = command("company", "list")
    assert answer.code == 2
    assert words in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("words", [["frobnicate"], ["sync", "--frobnicate"], ["company", "add"], ["company", "show"]])
def test_wrong_usage_ends_with_two(command: Command, words: list[str]) -> None:
    answer = command(*words)
    assert answer.code == 2
    assert "Usage:" in answer.err


@pytest.mark.parametrize("words", [["dev"], ["sandbox"]])
def test_a_port_that_is_taken_is_told(command: Command, database: object, words: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = command(*words, "--port", str(port))
    assert answer.code == 2
    assert str(port) in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "dagster.example.com", ""])
def test_an_address_that_others_reach_is_refused_without_a_proxy(command: Command, database: object, host: str) -> None:
    answer = command("dev", "--host", host)
    assert (answer.code, "put a proxy in front" in answer.err, "Traceback" in answer.err) == (2, True, False)


@pytest.mark.parametrize(
    "options", [["0.0.0.0", "--behind-proxy"], ["0.0.0.0", "--i-have-a-proxy"], ["127.0.0.1"], ["localhost"]]
)
def test_with_a_proxy_or_on_loopback_no_address_is_refused(
    command: Command, database: object, options: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = command("dev", "--port", port, "--host", *options)
    assert (answer.code, f"Port {port} is in use" in answer.err) == (2, True)


@pytest.mark.parametrize("call", ["--help", "company list", "database url", "database dump"])
def test_output_that_cannot_be_written_is_told(database: object, call: str) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run([COMMAND, *call.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "billingo-assets: The output cannot be written (No space left on device).\n",
    )


READ = "company list,history,audit,database url,database dump,--help,history --help,company show ozon-bt"
VERDICTS = "status,doctor,sync ozon-bt"


@pytest.mark.parametrize(
    ("call", "errors_too"),
    [
        *((call, False) for call in f"{READ},{VERDICTS}".split(",")),
        ("history", True),
        ("--help", True),
        ("sync ozon-bt", True),
    ],
)
def test_a_reader_that_quits_ends_a_command_quietly(companies: dict[str, Company], call: str, errors_too: bool) -> None:
    read, write = os.pipe()
    os.close(read)  # as `head` leaves it when it has seen enough
    errors = write if errors_too else subprocess.PIPE
    with os.fdopen(write, "wb"):
        done = subprocess.run([COMMAND, *call.split()], stdout=write, stderr=errors, check=False, timeout=300)
    if call in READ.split(","):
        assert done.returncode == 128 + signal.SIGPIPE
    else:
        assert done.returncode in (0, 1, 2)
    assert errors_too or b"\n".join(re.findall(rb".*(?:ipe|Traceback|written|rror).*", done.stderr)) == b""


def test_a_reader_that_quits_amid_the_lines_ends_a_command_quietly(companies: dict[str, Company]) -> None:
    read, write = os.pipe()
    # It holds so little that the command still writes when the reader quits.
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen([COMMAND, "database", "dump"], stdout=write, stderr=subprocess.PIPE, text=True) as running:
        os.close(write)
        assert len(os.read(read, 10)) == 10
        os.close(read)
        _, errors = running.communicate(timeout=300)
    assert (running.returncode, errors) == (128 + signal.SIGPIPE, "")


def test_verbose_adds_the_traceback(command: Command, database: object) -> None:
    assert "Traceback" in command("--verbose", "company", "show", "nobody").err


def test_help_does_not_wait_for_dagster_or_pandas() -> None:
    code = (
        "import sys; from billingo_assets.cli import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"dagster", "pandas"} & set(done.stdout.split())
