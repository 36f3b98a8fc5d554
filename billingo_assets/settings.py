"""Every setting, from `BILLINGO_*` environment variables and the project's `.env` file.

Names, types, defaults and validation belong here; the code that uses a setting does not.
Secrets are `SecretStr`, which does not print itself.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url

from billingo_assets import redaction
from billingo_assets.cron import checked_cron
from billingo_assets.errors import ConfigurationError
from billingo_assets.project import PREFIX, PROJECT_VARIABLE, env_file, located, project_root
from billingo_assets.urls import (
    LIVE_API_URL,
    checked_api_url,
    checked_database_url,
    checked_loopback_url,
    checked_secret_web_url,
    checked_web_url,
)

_PASSWORD = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")
_HOST = re.compile(r"(?:://|@)([^\s/?&=@:,]+\.[^\s/?&=@:,]+)")
_TOKEN = re.compile(r"(?=[^\s/?&=@:,]*\d)[^\s/?&=@:,]{8,}|[^\s/?&=@:,]{16,}")
"""The words of a webhook's URL that count as secrets: long ones, and those with a digit."""

FILE_SUFFIX = "_FILE"
MAX_SECRET_BYTES = 2**16


def _checked_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("must be a time zone such as Europe/Budapest")
    return name


def _secret_in(named: str | Path, name: str) -> str:
    """The content of a file that holds a secret, without the line's end. Its permissions are not checked."""
    try:
        path = located(Path(named))
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}.") from None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"{name}: {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:  # its text quotes the bytes that it could not read
        raise ConfigurationError(f"{name}: {path} does not hold UTF-8 text.") from None
    if not text.strip() or len(content) > MAX_SECRET_BYTES:
        size = "empty" if not text.strip() else f"larger than {MAX_SECRET_BYTES:,} bytes"
        raise ConfigurationError(f"{name}: {path} is {size}.")
    return text


CronLine = Annotated[str, AfterValidator(checked_cron)]
"""When a schedule ticks, in `timezone`."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""A time limit in seconds: more than none, a day at most."""


class Settings(BaseSettings):
    """All settings, validated. Build it with `load_settings`, which reports a mistake in a sentence."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: Annotated[SecretStr, AfterValidator(checked_database_url)] | None = None
    """A PostgreSQL of your own (15 or newer); unset, an embedded one runs under `home`."""
    home: Annotated[Path, AfterValidator(located)] = Field(default_factory=lambda: project_root() / ".billingo")
    """Embedded data, Dagster's home, the generated encryption key."""
    api_url: Annotated[str, AfterValidator(checked_api_url)] = LIVE_API_URL
    """The Billingo API that the keys are sent to."""
    encryption_keys: SecretStr | None = None
    """Fernet keys, comma-separated; the first encrypts, all decrypt. Unset: a generated file under `home`."""
    sandbox_url: Annotated[str, AfterValidator(checked_loopback_url)] | None = None
    """The API of the demo's companies. Set by the command that serves it, for itself and the processes it starts."""
    timezone: Annotated[str, AfterValidator(_checked_timezone)] = "Europe/Budapest"
    """The zone in which schedules tick and times are shown."""
    cron_daily: CronLine = "0 2 * * *"
    """When companies of the rhythm `daily` are synced."""
    cron_twice_daily: CronLine = "0 2,14 * * *"
    """When companies of the rhythm `twice-daily` are synced."""
    cron_hourly: CronLine = "0 8-20 * * 1-5"
    """When companies of the rhythm `hourly` are synced."""
    cron_weekly: CronLine = "0 3 * * 0"
    """When companies of the rhythm `weekly` are synced."""
    cron_full: CronLine = "0 4 * * 0"
    """When every document of every company is read, whatever its rhythm."""
    cron_maintenance: CronLine = "30 1 * * *"
    """When run history past `retention_days` is pruned."""
    retention_days: int = Field(default=90, ge=1, le=36_500)
    """How long the history of runs is kept; the newest materialization and check of each company always is."""
    alert_urls: SecretStr | None = None
    """Where alerts go: Apprise URLs, separated by commas or spaces."""
    heartbeat_url: Annotated[SecretStr, AfterValidator(checked_secret_web_url)] | None = None
    """Called after each tick that found and reported everything, so that its silence is noticed."""
    ui_url: Annotated[str, AfterValidator(checked_web_url)] = "http://127.0.0.1:3000"
    """Where people find Dagster's UI: links to runs begin with it."""
    database_url_file: Path | None = None
    """A file that holds `database_url`, as Docker's secrets and systemd's credentials are."""
    encryption_keys_file: Path | None = None
    """A file that holds `encryption_keys`."""
    alert_urls_file: Path | None = None
    """A file that holds `alert_urls`."""
    heartbeat_url_file: Path | None = None
    """A file that holds `heartbeat_url`."""
    lookback_days: int = Field(default=7, ge=0, le=3_650)
    """How far before the last sync an incremental one looks for changes."""
    requests_per_minute: int = Field(default=300, ge=0)
    """The most requests a key sends in any 60 seconds; 0: unpaced."""
    concurrent_requests: int = Field(default=4, ge=1, le=64)
    """Pages read at once for one company."""
    request_attempts: int = Field(default=6, ge=1, le=20)
    """Tries a request is given before its failure counts."""
    request_seconds: Seconds = 120.0
    """How long all tries of a request may take together; waiting under the pace is not counted."""
    connect_timeout_seconds: Seconds = 10.0
    """How long a connection may take to open."""
    read_timeout_seconds: Seconds = 30.0
    """How long the API may be silent while it answers."""
    max_response_mib: int = Field(default=64, ge=1, le=512)
    """The largest answer that is read, decompressed; a page of 100 documents is about 0.3 MiB."""
    max_document_mib: int = Field(default=16, ge=1, le=255)
    """The largest document that is stored; a larger one goes to quarantine. PostgreSQL's own limit is 255."""
    max_page_documents: int = Field(default=10_000, ge=100, le=1_000_000)
    """The most documents that one page may hold; 100 are asked for."""
    max_pages: int = Field(default=100_000, ge=1, le=10_000_000)
    """The most pages that are read of one listing."""
    lock_wait_seconds: float = Field(default=5.0, ge=0, le=86_400)
    """How long a sync waits for another sync of the same company before it gives up."""
    statement_timeout_seconds: Seconds = 600.0
    """How long one SQL statement may run."""

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Put the content of each `…_file` into its setting, which is then checked like any other."""
        read = {}
        for field in cls.model_fields:
            setting = field.removesuffix(FILE_SUFFIX.lower())
            if setting == field or given.get(field) is None:
                continue
            name = PREFIX + field.upper()
            if given.get(setting) is not None:
                raise ConfigurationError(f"{PREFIX}{setting.upper()} and {name} are both set. Unset one of them.")
            read[setting] = _secret_in(given[field], name)
        return {**given, **read}

    @property
    def zone(self) -> ZoneInfo:
        """`timezone` as an object."""
        return ZoneInfo(self.timezone)

    @property
    def lookback(self) -> timedelta:
        """By how much an incremental sync looks back."""
        return timedelta(days=self.lookback_days)

    @property
    def max_document_bytes(self) -> int:
        """The size above which a document goes to quarantine."""
        return self.max_document_mib * 2**20

    @property
    def database_place(self) -> str:
        """Where the database is, for people; without the URL, which may hold a password."""
        return f"embedded, in {self.home}" if self.database_url is None else f"{PREFIX}DATABASE_URL"

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its own files; its runs and events are in the database."""
        return self.home / "dagster"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the environment and `.env` once a process, and keep the secrets in them out of its output from then on.

    Raises:
        ConfigurationError: a variable is misspelt, its value is not acceptable, or a line of `.env` sets nothing.
    """
    written = _names_in(env_file())
    if PROJECT_VARIABLE in map(str.upper, written):
        raise ConfigurationError(f"{PROJECT_VARIABLE} says where .env is, so it cannot stand in it. Set it outside.")
    _refuse_unknown_names({*os.environ, *written} - {PROJECT_VARIABLE})
    try:
        settings = Settings(_env_file=env_file())  # type: ignore[call-arg]
    except ValidationError as error:
        raise ConfigurationError(_describe(error)) from None
    redaction.install()
    redaction.remember(*_secrets(settings))
    return settings


def holds_secrets(file: Path) -> bool:
    """Whether a file such as `.env`, which `load_settings` has accepted, sets a secret."""
    given = {name.upper(): value for name, value in dotenv_values(file).items() if value}
    fields = [
        field.removesuffix(FILE_SUFFIX.lower())
        for field in Settings.model_fields
        if field.endswith(FILE_SUFFIX.lower())
    ]
    written = {field: SecretStr(value) for field in fields if (value := given.get(PREFIX + field.upper()))}
    return any(_secrets(Settings.model_construct(None, **written)))


def _secrets(settings: Settings) -> Iterator[str]:
    """The secrets in the settings, each part separately, because it may appear alone."""
    if settings.database_url is not None:
        written = settings.database_url.get_secret_value()
        url = make_url(written)
        yield written.rpartition("@")[0].partition("://")[2].partition(":")[2]
        yield from (str(url.password or ""), *url.normalized_query.get("password", ()))
        yield from url.normalized_query.get("sslpassword", ())
    if settings.encryption_keys is not None:
        yield from re.split(r"[\s,;]+", settings.encryption_keys.get_secret_value())
    for urls in (settings.alert_urls, settings.heartbeat_url):
        if urls is not None:
            written = f"{urls.get_secret_value()} {unquote(urls.get_secret_value())}"
            hosts = set(_HOST.findall(written))  # messages name the hosts of channels
            yield from _PASSWORD.findall(written)
            yield from (word for word in _TOKEN.findall(written) if word not in hosts)


def _names_in(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    try:
        with file.open(encoding="utf-8") as lines:
            bindings = list(parse_stream(lines))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{file} cannot be read as UTF-8 text: line {line} is in another encoding.") from None
    for binding in bindings:
        if binding.error or _sets_nothing(binding):
            raise ConfigurationError(
                f"{file}, line {_line_number(binding)}, cannot be understood: a line is NAME=value, and a"
                " quote that opens also closes."
            )
    return {binding.key for binding in bindings if binding.key is not None}


def _sets_nothing(binding: Binding) -> bool:
    """Whether it is a setting of ours without a value, or with the value in its name: `BILLINGO_HOME:/data`."""
    name = binding.key or ""
    return name.upper().startswith(PREFIX) and (binding.value is None or not name.isidentifier())


def _line_number(binding: Binding) -> int:
    """The line's number; the parser counts the empty lines before a line as part of it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _refuse_unknown_names(names: set[str]) -> None:
    settings = [field.upper() for field in Settings.model_fields]
    known = {PREFIX + setting for setting in settings}
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            # Without the prefix, which makes any two names look alike.
            close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), settings, n=1)
            hint = f"Did you mean {PREFIX}{close[0]}?" if close else "docs/settings.md lists all settings."
            raise ConfigurationError(f"There is no setting {name}. {hint}")


def _describe(error: ValidationError) -> str:
    """One line for each wrong value. The value itself is not repeated: it may be a secret."""
    return "\n".join(f"{PREFIX}{str(problem['loc'][0]).upper()}: {_fault(problem)}." for problem in error.errors())


def _fault(problem: ErrorDetails) -> str:
    """Our own words if the setting has its own check, else its type and bounds in words."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    field = Settings.model_fields[str(problem["loc"][0])]
    if field.annotation not in (int, float):
        return "is not acceptable"
    kind = "a whole number" if field.annotation is int else "a number"
    bounds = [
        f"{words} {getattr(bound, name):,}"
        for bound in field.metadata
        for name, words in (("gt", "more than"), ("ge", "at least"), ("le", "at most"))
        if hasattr(bound, name)
    ]
    return f"must be {kind}, {' and '.join(bounds)}"
