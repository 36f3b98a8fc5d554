"""Settings from the environment, and what is said of those that are not acceptable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import billingo_assets
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.urls import LIVE_API_URL, checked_api_url

SECRET = "kep0nya-c-titok"


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """What is said about environment variables that are not acceptable."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_any_variable_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BILLINGO_HOME")
    checkout = Path(billingo_assets.__file__).parent.parent
    assert load_settings().model_dump() == {
        "database_url": None,
        "home": checkout / ".billingo",
        "api_url": "https://api.billingo.hu/v3",
        "encryption_keys": None,
        "sandbox_url": None,
        "timezone": "Europe/Budapest",
        "cron_daily": "0 2 * * *",
        "cron_twice_daily": "0 2,14 * * *",
        "cron_hourly": "0 8-20 * * 1-5",
        "cron_weekly": "0 3 * * 0",
        "cron_full": "0 4 * * 0",
        "cron_maintenance": "30 1 * * *",
        "retention_days": 90,
        "alert_urls": None,
        "heartbeat_url": None,
        "database_url_file": None,
        "encryption_keys_file": None,
        "alert_urls_file": None,
        "heartbeat_url_file": None,
        "ui_url": "http://127.0.0.1:3000",
        "lookback_days": 7,
        "requests_per_minute": 300,
        "concurrent_requests": 4,
        "request_attempts": 6,
        "request_seconds": 120.0,
        "connect_timeout_seconds": 10.0,
        "read_timeout_seconds": 30.0,
        "max_response_mib": 64,
        "max_document_mib": 16,
        "max_page_documents": 10_000,
        "max_pages": 100_000,
        "lock_wait_seconds": 5.0,
        "statement_timeout_seconds": 600.0,
    }


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", "")
    monkeypatch.setenv("BILLINGO_REQUESTS_PER_MINUTE", "")
    settings = load_settings()
    assert (settings.database_url, settings.requests_per_minute) == (None, 300)


def test_a_variable_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("billingo_concurrent_requests", "9")
    assert load_settings().concurrent_requests == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUESTS_PER_MINUTE", "-1"),
        ("REQUESTS_PER_MINUTE", "many"),
        ("CONCURRENT_REQUESTS", "0"),
        ("CONCURRENT_REQUESTS", "65"),
        ("REQUEST_ATTEMPTS", "0"),
        ("REQUEST_ATTEMPTS", "21"),
        ("REQUEST_SECONDS", "0"),
        ("REQUEST_SECONDS", "inf"),
        ("REQUEST_SECONDS", "nan"),
        ("CONNECT_TIMEOUT_SECONDS", "0"),
        ("READ_TIMEOUT_SECONDS", "-1"),
        ("READ_TIMEOUT_SECONDS", "1e300"),
        ("MAX_RESPONSE_MIB", "0"),
        ("LOCK_WAIT_SECONDS", "-1"),
        ("LOCK_WAIT_SECONDS", "inf"),
        ("STATEMENT_TIMEOUT_SECONDS", "0"),
        ("TIMEZONE", "Europe/Buda"),
        ("TIMEZONE", "../../etc/passwd"),
        ("HOME", "~nobody-of-this-name/billingo"),
        ("API_URL", "ftp://api.billingo.hu/v3"),
        ("SANDBOX_URL", "https://api.billingo.hu/v3"),
        ("SANDBOX_URL", "https://127.0.0.1.example.hu/v3"),
        ("DATABASE_URL", "mysql://localhost/billingo"),
        ("DATABASE_URL", "/var/lib/billingo.db"),
        ("DATABASE_URL", "postgresql://host:port/billingo"),
        ("DATABASE_URL", "postgresql://host:0/billingo"),
        ("DATABASE_URL", "postgresql://host:65536/billingo"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert refusal(monkeypatch, **{f"BILLINGO_{name}": value}).startswith(f"BILLINGO_{name}: ")


LIBRARY = re.compile(r"[Ii]nput|parse|valid (integer|number|string)|pydantic|errno|Error|\[|type=")


@pytest.mark.parametrize(
    "value", ["many", "-1", "1.5", "nan", "1e999", "9" * 5000, "0x10", "í", "{}", "~nobody-at-all", "://"]
)
def test_no_setting_is_refused_in_the_words_of_a_library(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    said = []
    for field in Settings.model_fields:
        with monkeypatch.context() as alone:
            alone.setenv(f"BILLINGO_{field.upper()}", value)
            said.append(_refusal_if_any())
    assert [words for words in said if LIBRARY.search(words)] == []
    assert len([words for words in said if words]) > 10


def _refusal_if_any() -> str:
    load_settings.cache_clear()
    try:
        load_settings()
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CONCURRENT_REQUESTS", "many", "must be a whole number, at least 1 and at most 64."),
        ("CONCURRENT_REQUESTS", "65", "must be a whole number, at least 1 and at most 64."),
        ("REQUESTS_PER_MINUTE", "-1", "must be a whole number, at least 0."),
        ("REQUEST_SECONDS", "nan", "must be a number, more than 0 and at most 86,400."),
        ("CRON_DAILY", "@daily", "must be a cron line of five fields, such as 0 2 * * *."),
        ("CRON_DAILY", "0 0 31 2 *", "would never tick: no month that it names has such a day."),
        ("CRON_WEEKLY", "0 0 30 2 *", "would never tick: no month that it names has such a day."),
        ("CRON_FULL", "0 0 31 4,6,9,11 *", "would never tick: no month that it names has such a day."),
        (
            "CRON_DAILY",
            "0 0 32 1 *",
            "is not a cron line: minute, hour, day of the month, month, weekday, such as 0 2 * * *.",
        ),
    ],
)
def test_a_refusal_says_what_would_be_right(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    assert refusal(monkeypatch, **{f"BILLINGO_{name}": value}) == f"BILLINGO_{name}: {words}"


def test_a_cron_line_that_ticks_seldom_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_CRON_FULL", "0 4 29 2 *")
    assert load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUESTS_PER_MINUTE", "0"),
        ("CONCURRENT_REQUESTS", "1"),
        ("REQUEST_ATTEMPTS", "1"),
        ("LOCK_WAIT_SECONDS", "0"),
        ("DATABASE_URL", "postgresql:///billingo?host=/run/postgresql"),
        ("DATABASE_URL", "postgres://user:word@host:5432/billingo"),
        ("DATABASE_URL", "postgresql://user:w/rd@host:65535/billingo"),
        ("TIMEZONE", "UTC"),
        ("SANDBOX_URL", "http://127.0.0.1:8765/v3"),
    ],
)
def test_the_value_at_the_edge_is_accepted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"BILLINGO_{name}", value)
    assert load_settings()


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, BILLINGO_TIMEZONE="Mars", BILLINGO_CONCURRENT_REQUESTS="0").splitlines()
    assert [line.partition(":")[0] for line in told] == ["BILLINGO_TIMEZONE", "BILLINGO_CONCURRENT_REQUESTS"]


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("BILLINGO_DATABSE_URL", "BILLINGO_DATABASE_URL"),
        ("BILLINGO_REQUEST_PER_MINUTE", "BILLINGO_REQUESTS_PER_MINUTE"),
        ("billingo_timezon", "BILLINGO_TIMEZONE"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(monkeypatch: pytest.MonkeyPatch, misspelt: str, meant: str) -> None:
    told = refusal(monkeypatch, **{misspelt: "x"})
    assert told == f"There is no setting {misspelt}. Did you mean {meant}?"


def test_a_name_like_no_other_gets_a_place_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "docs/settings.md" in refusal(monkeypatch, BILLINGO_QQQQ="x")


@pytest.mark.parametrize(
    "url", ["hc-ping.com/s3cret", "ftp://hc-ping.com/s3cret", "https://", "https://hc-ping.com/s3 cret"]
)
@pytest.mark.parametrize("name", ["BILLINGO_HEARTBEAT_URL", "BILLINGO_UI_URL"])
def test_what_is_no_web_address_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    assert refusal(monkeypatch, **{name: url}) == f"{name}: must be an http:// or https:// URL."


def test_the_urls_of_alerts_and_of_the_heartbeat_do_not_print_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", "mailtos://ops:s3cret@example.com")
    monkeypatch.setenv("BILLINGO_HEARTBEAT_URL", "https://hc-ping.com/s3cret")
    assert "s3cret" not in repr(load_settings())


def test_a_variable_of_another_program_is_no_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGOTOOL_X", "1")
    assert load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BILLINGO_DATABASE_URL", f"mysql://user:{SECRET}@host/db"),
        ("BILLINGO_DATABASE_URL", f"postgresql://user:{SECRET}@[host/db"),
        ("BILLINGO_DATABASE_URL", f"postgresql://user:{SECRET}℀@host/db"),
        ("BILLINGO_DATABASE_URL", f"postgresql://user:{SECRET}@host:port/db"),
        ("BILLINGO_DATABASE_URL", f"postgresql://user:first@{SECRET}@host/db"),
        ("BILLINGO_DATABASE_URL", f"postgresql://user:first@second/{SECRET}@host/db"),
        ("BILLINGO_API_URL", f"https://user:{SECRET}@host/v3"),
        ("BILLINGO_API_URL", f"https://user:{SECRET}℀@host/v3"),
        ("BILLINGO_API_URL", f"https://host/v3?key={SECRET}"),
        ("BILLINGO_ENCRYPTION_KEY", SECRET),
        ("BILLINGO_REQUESTS_PER_MINUTE", SECRET),
    ],
)
def test_a_value_is_not_repeated_in_the_refusal(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert SECRET not in refusal(monkeypatch, **{name: value})


def test_an_at_sign_within_a_password_is_told_how_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "write it as %40" in refusal(monkeypatch, BILLINGO_DATABASE_URL="postgresql://user:p@ss@host/db")


def test_a_secret_does_not_show_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", f"postgresql://user:{SECRET}@host/db")
    monkeypatch.setenv("BILLINGO_ENCRYPTION_KEYS", SECRET)
    settings = load_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        (LIVE_API_URL, LIVE_API_URL),
        ("https://example.hu/v3/", "https://example.hu/v3"),
        ("https://example.hu:8443/v3", "https://example.hu:8443/v3"),
        ("http://127.0.0.1:8765/v3", "http://127.0.0.1:8765/v3"),
        ("http://127.9.9.9/v3", "http://127.9.9.9/v3"),
        ("http://localhost:8765/v3", "http://localhost:8765/v3"),
        ("http://[::1]:8765/v3", "http://[::1]:8765/v3"),
    ],
)
def test_an_api_url_is_https_or_stays_on_this_machine(url: str, checked: str) -> None:
    assert checked_api_url(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        "http://api.billingo.hu/v3",
        "http://10.0.0.1/v3",
        "http://[::2]/v3",
        "http://0.0.0.0/v3",
        "http://127.0.0.1.example.hu/v3",
        "http://localhost.example.hu/v3",
    ],
)
def test_plain_http_to_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="plain http is allowed to loopback only"):
        checked_api_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.billingo.hu/v3",
        "file:///etc/passwd",
        "https://",
        "https:///v3",
        "https://[::1/v3",
        "https://api..billingo.hu/v3",
        "https://api.billingo.hu:0/v3",
        "https://api.billingo.hu:99999/v3",
        "https://api.billingo.hu:port/v3",
    ],
)
def test_what_is_no_address_is_refused_with_one_that_is(url: str) -> None:
    with pytest.raises(ValueError, match=f"must look like {LIVE_API_URL}"):
        checked_api_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:word@api.billingo.hu/v3",
        "https://user@api.billingo.hu/v3",
        "https://@api.billingo.hu/v3",
        "http://localhost@api.billingo.hu/v3",
        "https://api.billingo.hu/v3?a=b",
        "https://api.billingo.hu/v3?",
        "https://api.billingo.hu/v3#a",
        "https://api.billingo.hu/v3#",
    ],
)
def test_a_url_with_more_than_an_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must not contain a user name, a password, a query or a fragment"):
        checked_api_url(url)


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\t", " ", "\x00", "\u200b", "\u00a0"])
def test_an_invisible_character_in_a_url_is_refused(inside: str) -> None:
    with pytest.raises(ValueError, match="must not contain spaces or control characters"):
        checked_api_url(f"https://api.billingo.hu{inside}/v3")


def test_the_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BILLINGO_HOME", "~/data")
    assert load_settings().home == tmp_path / "data"


def test_dagster_has_its_home_in_ours(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).dagster_home == tmp_path / "dagster"


def test_no_setting_switches_the_verification_of_certificates_off() -> None:
    about_it = re.compile("verif|ssl|tls|insecure|certif|proxy|trust")
    assert [name for name in Settings.model_fields if about_it.search(name)] == []
