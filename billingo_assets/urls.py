"""Checks the URLs in settings and options. The checks raise ValueError, which never quotes a password."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

LIVE_API_URL = "https://api.billingo.hu/v3"


def checked_api_url(url: str) -> str:
    """Return `url` without a trailing slash. Raises ValueError unless it is a bare https URL, or http to loopback.

    An API key goes wherever this URL points, so nothing in it may be ambiguous.
    """
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not contain spaces or control characters")
    parts = _split(url, like=LIVE_API_URL)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _can_be_connected_to(parts):
        raise ValueError(f"must look like {LIVE_API_URL}")
    if parts.username is not None or "?" in url or "#" in url:
        raise ValueError("must not contain a user name, a password, a query or a fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https: plain http is allowed to loopback only, since the API key travels with it")
    return url.rstrip("/")


def checked_loopback_url(url: str) -> str:
    """Return `url` as `checked_api_url` does. Raises ValueError unless it is this machine's."""
    checked = checked_api_url(url)
    if not is_loopback(urlsplit(checked).hostname or ""):
        raise ValueError("must be on loopback")
    return checked


def _split(url: str, *, like: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # its text may quote the user name and the password
        raise ValueError(f"must look like {like}") from None


def _can_be_connected_to(parts: SplitResult) -> bool:
    try:
        (parts.hostname or "").encode("idna")
        port = parts.port
    except ValueError:
        return False
    return port != 0


def is_loopback(host: str) -> bool:
    """Whether the host can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def checked_database_url(secret: SecretStr) -> SecretStr:
    """Return `secret`. Raises ValueError unless it is a postgresql:// URL with a port that exists."""
    url, example = secret.get_secret_value(), "postgresql://user@host:5432/database"
    # The text after the first @ counts as the host, which is not a secret.
    if url.count("@") > 1:
        raise ValueError("must not contain a second @: within a user name or a password, write it as %40")
    if _split(url, like=example).scheme not in ("postgresql", "postgres") or not _has_port_that_exists(url):
        raise ValueError(f"must be a postgresql:// URL, such as {example}")
    return secret


def _has_port_that_exists(url: str) -> bool:
    """Whether the port is valid in the URL as the engine reads it: a password may contain a slash."""
    try:
        port = make_url(url).port
    except (ArgumentError, ValueError):
        return False
    return port is None or 0 < port < 65536


def checked_web_url(url: str) -> str:
    """Return `url` without a trailing slash. Raises ValueError unless it is an http:// or https:// URL."""
    parts = _split(url, like="https://dagster.example.com")
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("must be an http:// or https:// URL")
    return url.rstrip("/")


def checked_secret_web_url(secret: SecretStr) -> SecretStr:
    """Check a secret URL as `checked_web_url` does a public one."""
    return SecretStr(checked_web_url(secret.get_secret_value()))
