"""Whom the UI answers: its own pages, whatever stands before it, and no others."""

from __future__ import annotations

import pytest

from billingo_assets.dagster_support.webserver import refused

ITS_OWN = {
    "on loopback": ("http://127.0.0.1:3000", "127.0.0.1:3000", "http://127.0.0.1:3000"),
    "through a tunnel": ("http://127.0.0.1:3000", "localhost:8000", "http://localhost:8000"),
    "behind a proxy that ends TLS": ("https://books.example.com", "books.example.com", "https://books.example.com"),
    "behind one that adds the port": (
        "https://books.example.com",
        "books.example.com:443",
        "https://books.example.com",
    ),
    "behind one, by a setting that names the port": (
        "https://books.example.com:443",
        "books.example.com",
        "https://books.example.com",
    ),
    "behind one on another port": (
        "https://books.example.com:8443",
        "books.example.com:8443",
        "https://books.example.com:8443",
    ),
    "behind one that leaves this port out": (
        "https://books.example.com:8443",
        "books.example.com",
        "https://books.example.com:8443",
    ),
}

OTHERS = {
    "another port": ("http://127.0.0.1:3000", "127.0.0.1:3000", "http://127.0.0.1:3001"),
    "another port of the proxy": ("https://books.example.com", "books.example.com", "https://books.example.com:8443"),
    "another name": ("https://books.example.com", "books.example.com", "https://evil.example.com"),
    "a port that cannot be": ("http://127.0.0.1:3000", "127.0.0.1:3000", "http://127.0.0.1:99999"),
    "no name": ("http://127.0.0.1:3000", "127.0.0.1:3000", "null"),
}


@pytest.mark.parametrize(("ui_url", "host", "origin"), ITS_OWN.values(), ids=ITS_OWN)
def test_what_the_ui_itself_sends_is_answered(ui_url: str, host: str, origin: str) -> None:
    assert refused({"host": host, "origin": origin}, ui_url, is_query=False) is None


@pytest.mark.parametrize(("ui_url", "host", "origin"), OTHERS.values(), ids=OTHERS)
def test_what_a_page_of_another_origin_sends_is_not(ui_url: str, host: str, origin: str) -> None:
    assert refused({"host": host, "origin": origin}, ui_url, is_query=False) == (
        "This request comes from another web page."
    )
