"""Settings from files: secrets that lie in one each, and the `.env` file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import billingo_assets
from billingo_assets.settings import Settings, load_settings
from billingo_assets_tests.test_settings import SECRET, refusal

SECRET_SETTINGS = {
    "DATABASE_URL": f"postgresql://user:{SECRET}@host/db",
    "ENCRYPTION_KEYS": f"{SECRET},{SECRET}",
    "ALERT_URLS": f"json://host/{SECRET}\nmailto://user:{SECRET}@host",
    "HEARTBEAT_URL": f"https://hc-ping.com/{SECRET}",
}


def test_every_secret_setting_may_be_in_a_file() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert {name.lower() for name in SECRET_SETTINGS} == secret
    assert {f"{name}_file" for name in secret} < Settings.model_fields.keys()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("setting", SECRET_SETTINGS)
def test_a_secret_is_read_from_the_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str, end: str
) -> None:
    # As systemd has it in $CREDENTIALS_DIRECTORY and Docker in /run/secrets: for those in the container to read.
    (tmp_path / "secret").write_bytes((SECRET_SETTINGS[setting] + end).encode())
    (tmp_path / "secret").chmod(0o444)
    monkeypatch.setenv(f"BILLINGO_{setting}_FILE", str(tmp_path / "secret"))
    assert getattr(load_settings(), setting.lower()).get_secret_value() == SECRET_SETTINGS[setting]
    assert SECRET not in repr(load_settings())


def test_a_file_may_be_named_in_the_dotenv_file(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mailto://user:word@host\n")
    (checkout / ".env").write_text(f"BILLINGO_ALERT_URLS_FILE={tmp_path / 'secret'}\n")
    assert told_in(checkout, "settings.alert_urls.get_secret_value()") == "mailto://user:word@host"


def test_what_is_in_a_file_is_checked_as_if_it_was_set_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"mysql://user:{SECRET}@host/db")
    told = refusal(monkeypatch, BILLINGO_DATABASE_URL_FILE=str(tmp_path / "secret"))
    assert "must be a postgresql:// URL" in told
    assert SECRET not in told


@pytest.mark.parametrize("setting", SECRET_SETTINGS)
def test_a_secret_that_is_set_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str) -> None:
    (tmp_path / "secret").write_text(SECRET_SETTINGS[setting])
    monkeypatch.setenv(f"BILLINGO_{setting}", SECRET_SETTINGS[setting])
    told = refusal(monkeypatch, **{f"BILLINGO_{setting}_FILE": str(tmp_path / "secret")})
    assert told == f"BILLINGO_{setting} and BILLINGO_{setting}_FILE are both set. Unset one of them."


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (Path.mkdir, "cannot be read: Is a directory"),
        (Path.touch, "is empty"),
        (lambda path: path.write_text(" \n"), "is empty"),
        (lambda path: path.write_bytes(SECRET.encode() + b"\xff"), "does not hold UTF-8 text"),
        (lambda path: path.write_text(SECRET * 10_000), "is larger than 65,536 bytes"),
    ],
    ids=["missing", "folder", "empty", "blank", "binary", "large"],
)
def test_a_file_without_a_secret_is_told_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "secret"
    make(path)
    told = refusal(monkeypatch, BILLINGO_HEARTBEAT_URL_FILE=str(path))
    assert told == f"BILLINGO_HEARTBEAT_URL_FILE: {path} {words}."


def test_only_secrets_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, BILLINGO_TIMEZONE_FILE="/run/x").startswith(
        "There is no setting BILLINGO_TIMEZONE_FILE"
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own, whose `.env` is the test's to write."""
    package = tmp_path / "checkout" / "billingo_assets"
    package.mkdir(parents=True)
    (package.parent / "workspace.yaml").touch()
    for module in ("__init__", "cron", "errors", "project", "redaction", "settings", "urls"):
        shutil.copy(Path(billingo_assets.__file__).with_name(f"{module}.py"), package)
    return package.parent


def told_in(checkout: Path, expression: str, *, folder: Path | None = None, **environment: str) -> str:
    """What a process that uses that checkout says of its `settings`."""
    program = f"""
from billingo_assets.settings import ConfigurationError, load_settings
try:
    settings = load_settings()
    print({expression})
except ConfigurationError as error:
    print(error)
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLINGO_")}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder or "/",
        env={**clean, "PYTHONPATH": str(checkout), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_a_dotenv_file_beside_the_workspace_is_read_from_any_folder(checkout: Path) -> None:
    (checkout / ".env").write_text("BILLINGO_TIMEZONE=UTC\nOTHER_PROGRAM=1\n")
    assert told_in(checkout, "settings.timezone") == "UTC"


def test_without_a_workspace_the_dotenv_file_of_the_working_folder_is_read(checkout: Path, tmp_path: Path) -> None:
    (checkout / "workspace.yaml").unlink()
    (tmp_path / ".env").write_text("BILLINGO_TIMEZONE=UTC\n")
    told = told_in(checkout, "settings.timezone, settings.home", folder=tmp_path)
    assert told == f"UTC {tmp_path / '.billingo'}"


@pytest.mark.parametrize("in_file", [True, False], ids=[".env", "environment"])
def test_a_relative_path_is_in_the_projects_folder_wherever_a_command_is_called(
    checkout: Path, tmp_path: Path, in_file: bool
) -> None:
    (checkout / "word").write_text("mailto://user:word@host\n")
    paths = {"BILLINGO_HOME": "data", "BILLINGO_ALERT_URLS_FILE": "word"}
    if in_file:
        (checkout / ".env").write_text("".join(f"{name}={path}\n" for name, path in paths.items()))
    told = told_in(
        checkout,
        "settings.home, settings.alert_urls.get_secret_value()",
        folder=tmp_path,
        **({} if in_file else paths),
    )
    assert told == f"{checkout / 'data'} mailto://user:word@host"


def test_the_projects_folder_may_be_named(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / ".env").write_text("BILLINGO_TIMEZONE=UTC\n")
    told = told_in(checkout, "settings.timezone, settings.home", BILLINGO_PROJECT=str(tmp_path / "own"))
    assert told == f"UTC {tmp_path / 'own' / '.billingo'}"


@pytest.mark.parametrize("folder", ["own", "/nowhere/at/all"])
def test_a_projects_folder_that_is_none_is_told(checkout: Path, folder: str) -> None:
    told = told_in(checkout, "settings", BILLINGO_PROJECT=folder)
    assert told == f"BILLINGO_PROJECT is {folder}, which is not the absolute path of a folder."


def test_the_projects_folder_cannot_be_named_in_its_own_dotenv_file(checkout: Path) -> None:
    (checkout / ".env").write_text("BILLINGO_PROJECT=/srv\n")
    assert told_in(checkout, "settings").startswith("BILLINGO_PROJECT says where .env is, so it cannot stand in it.")


def test_the_environment_goes_before_the_dotenv_file(checkout: Path) -> None:
    (checkout / ".env").write_text("BILLINGO_TIMEZONE=UTC\n")
    assert told_in(checkout, "settings.timezone", BILLINGO_TIMEZONE="Europe/Vienna") == "Europe/Vienna"


def test_a_misspelt_name_in_the_dotenv_file_gets_a_suggestion(checkout: Path) -> None:
    (checkout / ".env").write_text("BILLINGO_TIMEZON=UTC\n")
    assert told_in(checkout, "settings").endswith("Did you mean BILLINGO_TIMEZONE?")


def test_a_dotenv_file_that_is_not_text_is_told_by_its_name(checkout: Path) -> None:
    (checkout / ".env").write_bytes("BILLINGO_HOME=/home/őr".encode("latin2"))
    assert told_in(checkout, "settings").startswith(f"{checkout / '.env'} cannot be read as UTF-8 text")


@pytest.mark.parametrize(
    "line",
    [
        f"BILLINGO_DATABASE_URL postgresql://user:{SECRET}@host/db",
        f"BILLINGO_DATABASE_URL: postgresql://user:{SECRET}@host/db",
        f"BILLINGO_DATABASE_URL:postgresql://user:{SECRET}@host/db?sslmode=require",
        f'BILLINGO_DATABASE_URL="postgresql://user:{SECRET}@host/db',
        "BILLINGO_DATABASE_URL",
        "export BILLINGO_DATABASE_URL",
    ],
)
def test_a_line_of_the_dotenv_file_that_sets_nothing_is_told_by_its_number(checkout: Path, line: str) -> None:
    (checkout / ".env").write_text(f"# mine\nBILLINGO_TIMEZONE=UTC\n\n{line}\nOTHER_PROGRAM=1\n")
    told = told_in(checkout, "settings")
    assert told.startswith(f"{checkout / '.env'}, line 4, cannot be understood")
    assert SECRET not in told


def test_a_bare_name_of_another_program_in_the_dotenv_file_is_no_concern(checkout: Path) -> None:
    (checkout / ".env").write_text("export OTHER_PROGRAM\nBILLINGO_TIMEZONE='UTC' # here\n")
    assert told_in(checkout, "settings.timezone") == "UTC"
