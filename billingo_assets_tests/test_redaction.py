"""What is said by logs, tracebacks and Dagster's errors of a secret that is known: `***`."""

from __future__ import annotations

import html
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from dagster._utils.error import serializable_error_info_from_exc_info
from pydantic import SecretStr

from billingo_assets import redaction
from billingo_assets.billingo.client import BillingoClient
from billingo_assets.companies.encryption import Keyring
from billingo_assets.dagster_support import errors as dagster_errors
from billingo_assets.errors import DatabaseError
from billingo_assets.settings import load_settings

SECRET = "kép0nya/c+titok%'x"


@pytest.fixture(autouse=True)
def _known() -> None:
    redaction.install()
    redaction.remember(SecretStr(SECRET))


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What a handler writes that was there before anything was installed, as those of other libraries are."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("of.somebody.else")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)


log = logging.getLogger("of.somebody.else")


class Shows:
    """An object whose text is the secret."""

    def __str__(self) -> str:
        return f"<{SECRET}>"


def fail() -> None:
    raise RuntimeError(f"connecting to postgresql://user:{SECRET}@host")


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        "k%C3%A9p0nya%2Fc%2Btitok%25%27x",
        "k%c3%a9p0nya%2fc%2btitok%25%27x",
        "k%C3%A9p0nya/c%2Btitok%25%27x",
        "k%C3%A9p0nya%2Fc+titok%25%27x",
        json.dumps(SECRET)[1:-1],
        html.escape(SECRET),
    ],
    ids=["itself", "quoted", "in small letters", "quoted as a path", "as SQLAlchemy quotes", "in JSON", "in HTML"],
)
def test_a_secret_is_concealed_in_each_form(form: str) -> None:
    assert redaction.redact(f"before-{form}-after") == "before-***-after"


def test_of_two_secrets_the_one_that_holds_the_other_goes_whole() -> None:
    redaction.remember("swordfish-of-old", "swordfish-of-old-and-more")
    assert redaction.redact("swordfish-of-old-and-more") == "***"


def test_a_short_secret_is_concealed_as_a_word_and_left_within_others() -> None:
    redaction.remember("billingo", "post")
    assert redaction.redact("billingo:billingo@host /billingo_assets/ post") == "***:***@host /billingo_assets/ post"


def test_a_log_record_holds_no_secret(said: io.StringIO) -> None:
    log.info("the key is " + SECRET.replace("%", "%%"), *[])
    log.info("the key is %s", SECRET)
    log.info("the key is %(key)s", {"key": Shows()})
    assert said.getvalue().count("the key is ") == 3
    assert said.getvalue().count("***") >= 2
    assert SECRET not in said.getvalue()


def test_a_log_record_without_secrets_is_left_as_it_is(said: io.StringIO) -> None:
    record = log.makeRecord("x", logging.INFO, __file__, 1, "%d %s", (1, "a"), None)
    assert (record.msg, record.args) == ("%d %s", (1, "a"))


def test_a_log_record_whose_arguments_do_not_fit_is_told_without_its_secrets(said: io.StringIO) -> None:
    log.info("two: %s %s", SECRET)
    assert "two: %s %s" in said.getvalue()
    assert SECRET not in said.getvalue()


def test_a_traceback_in_a_log_holds_no_secret(said: io.StringIO) -> None:
    try:
        fail()
    except RuntimeError as error:
        raised = error
        log.exception("failed")
    told = said.getvalue()
    assert "RuntimeError: connecting to postgresql://user:***@host" in told
    assert "in fail" in told
    assert SECRET not in told
    assert SECRET in str(raised)  # the error itself is not touched: programs may need it


def test_a_cause_and_a_context_are_concealed_in_dagsters_errors_too() -> None:
    dagster_errors.install()
    dagster_errors.install()
    try:
        try:
            try:
                fail()
            except RuntimeError as cause:
                raise ValueError(f"with {SECRET}") from cause
        except ValueError:
            raise KeyError(SECRET)  # noqa: B904 - its context is the point
    except KeyError:
        info = serializable_error_info_from_exc_info(sys.exc_info())
    told = info.to_string()
    assert told.count("***") >= 3
    assert "postgresql://user:***@host" in told
    assert "in fail" in told
    assert SECRET not in told


def test_a_line_of_source_in_a_traceback_is_concealed(tmp_path: Path) -> None:
    dagster_errors.install()
    source = tmp_path / "source.py"
    source.write_text(f"password = {SECRET!r}; 1 / 0\n")
    try:
        exec(compile(source.read_text(), source, "exec"))
    except ZeroDivisionError as error:
        told = redaction.traceback_of(error)
        stored = serializable_error_info_from_exc_info(sys.exc_info()).to_string()
    assert "password = '***" in told.replace('"', "'")
    assert "password = '***" in stored.replace('"', "'")


def test_our_errors_repeat_no_secret_that_somebody_else_said() -> None:
    assert str(DatabaseError(f"PostgreSQL refused: {SECRET}.")) == "PostgreSQL refused: ***."


def test_an_api_key_is_known_once_it_is_encrypted_decrypted_or_used() -> None:
    keyring = Keyring(SecretStr(Fernet.generate_key().decode()))
    token = keyring.encrypt(SecretStr("an-api-key-to-encrypt"))
    assert redaction.redact("an-api-key-to-encrypt") == "***"
    redaction.forget()
    keyring.decrypt(token, company="it-cardigan")
    assert redaction.redact("an-api-key-to-encrypt") == "***"
    with BillingoClient(api_url="http://127.0.0.1:1/v3", api_key=SecretStr("an-api-key-to-use")):
        assert redaction.redact("an-api-key-to-use") == "***"


@pytest.mark.parametrize("where", ["", "thread"])
def test_a_traceback_that_ends_a_process_or_a_thread_holds_no_secret(where: str) -> None:
    program = f"""
import threading
from billingo_assets import redaction
redaction.install()
redaction.remember({SECRET!r})
def fail():
    raise RuntimeError("the password is " + {SECRET!r})
if {where!r}:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
else:
    fail()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "RuntimeError: the password is ***\n" in ended.stderr
    assert "in fail" in ended.stderr
    assert SECRET not in ended.stderr
    assert ended.returncode == (0 if where else 1)


@pytest.mark.parametrize(
    ("name", "value", "secrets", "others"),
    [
        ("DATABASE_URL", "postgresql://user:p%c3%a1ss/word@host/db", ["p%c3%a1ss/word", "páss/word"], ["user", "host"]),
        ("DATABASE_URL", "postgresql://user@host/db?password=hunter2", ["hunter2"], ["user"]),
        ("ENCRYPTION_KEYS", "first-key, second-key", ["first-key", "second-key"], []),
        ("ALERT_URLS", "mailtos://ops:hunter2@smtp.example.com?to=you@example.com", ["hunter2"], ["smtp.example.com"]),
        ("ALERT_URLS", "json://127.0.0.1:8000/hook/t0ken-of-it", ["t0ken-of-it"], ["127.0.0.1", "8000", "json"]),
        ("ALERT_URLS", "tgram://123456789:AbCdEfGhIjKlMnOpQr/1", ["123456789", "AbCdEfGhIjKlMnOpQr"], ["tgram"]),
        ("HEARTBEAT_URL", "https://hc-ping.com/2f6d1c9e-0000-4000", ["2f6d1c9e-0000-4000"], ["hc-ping.com"]),
    ],
)
def test_the_secrets_of_the_settings_are_known_once_they_are_loaded(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, secrets: list[str], others: list[str]
) -> None:
    redaction.forget()
    monkeypatch.setenv(f"BILLINGO_{name}", value)
    load_settings()
    assert [redaction.redact(f"<{secret}>") for secret in secrets] == ["<***>"] * len(secrets)
    assert [redaction.redact(f"<{other}>") for other in others] == [f"<{other}>" for other in others]
