"""Runs Dagster's UI so that it answers only its own pages, and reports an outage of PostgreSQL in words.

`dagster-webserver` (1.13) obeys any web page that a person has open beside it: it runs a mutation sent as a GET, for
example as the address of a picture, and checks neither the sender nor the name by which it was called. So
`python -m billingo_assets.dagster_support.webserver` starts it, with the options of `dagster-webserver`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dagster_webserver.cli import main as run_webserver
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from billingo_assets.dagster_support.reconnecting import DATABASE_ERRORS
from billingo_assets.settings import load_settings
from billingo_assets.urls import is_loopback

AGAIN_SECONDS = 5
NO_DATABASE = "PostgreSQL does not answer. This page reloads by itself until it does.\n"


class SameSiteOnly:
    """Lets requests of the UI itself pass, called by a known name; answers 403 to all others."""

    def __init__(self, app: ASGIApp, ui_url: str) -> None:
        self._app, self._ui_url = app, ui_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request, or the beginning of a WebSocket, by its headers."""
        if scope["type"] in ("http", "websocket"):
            refusal = refused(Headers(scope=scope), self._ui_url, is_query=_is_query(scope))
            if refusal:
                # A WebSocket that is not accepted gets the answer of a request.
                await PlainTextResponse(f"{refusal}\n", status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class WaitForPostgresql:
    """Answers 503 in words while PostgreSQL does not answer, and makes the browser reload."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. If the database fails it, nothing of the answer has been sent yet."""
        try:
            await self._app(scope, receive, send)
        except DATABASE_ERRORS:
            if scope["type"] != "http":
                raise
            headers = {"Refresh": str(AGAIN_SECONDS), "Retry-After": str(AGAIN_SECONDS)}
            await PlainTextResponse(NO_DATABASE, status_code=503, headers=headers)(scope, receive, send)


def refused(headers: Mapping[str, str], ui_url: str, *, is_query: bool) -> str | None:
    """Why a request is refused; None if it is allowed. `is_query`: its address asks to execute something."""
    called, known = _place(f"//{headers.get('host', '')}"), _place(ui_url)
    name = called[0]
    if not is_loopback(name) and name != known[0]:
        return (
            f"The UI does not answer to the host name {name!r}. If people use this name, set BILLINGO_UI_URL to the"
            " address that they use, and restart the UI."
        )
    if "origin" in headers:
        # A proxy may drop the port from the name, or add one.
        is_foreign = _place(headers["origin"]) not in (called, known)
    else:
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
            headers.get("sec-fetch-mode") != "navigate"
        )
    if is_foreign:
        return "This request comes from another web page."
    if is_query:
        return "Queries are sent by POST."
    return None


def _is_query(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and scope["path"].endswith("/graphql")
        and bool(scope["query_string"])
    )


def _place(url: str) -> tuple[str, int | None]:
    """Host and port of a URL, the port as written: browsers omit the scheme's default port, also in Host."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        return "", None
    return host or "", port


def main() -> None:
    """Run Dagster's program, with our middleware before its own."""
    ui_url = load_settings().ui_url
    build = DagsterWebserver.build_middleware

    def build_middleware(self: DagsterWebserver[Any, Any]) -> list[Middleware]:
        return [Middleware(SameSiteOnly, ui_url=ui_url), Middleware(WaitForPostgresql), *build(self)]

    DagsterWebserver.build_middleware = build_middleware  # type: ignore[method-assign]
    run_webserver()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
