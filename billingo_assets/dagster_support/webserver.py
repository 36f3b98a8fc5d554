"""Dagster's UI, which answers nobody but the people who opened it, and them in words.

`dagster-webserver` (1.13) takes orders from any web page that a person has open beside it: it runs a mutation that
comes as a GET, as the address of a picture does, and asks neither who sent it nor under which name it was called. So
it is started through here, by `python -m billingo_assets.dagster_support.webserver`, with the options of
`dagster-webserver`.
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
    """Lets through what the UI itself sends, called by a name that is known; answers 403 to all else."""

    def __init__(self, app: ASGIApp, ui_url: str) -> None:
        self._app, self._ui_url = app, ui_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request, or the beginning of a WebSocket, by its headers."""
        if scope["type"] in ("http", "websocket"):
            refusal = refused(Headers(scope=scope), self._ui_url, is_query=_is_query(scope))
            if refusal:
                # A WebSocket that is not accepted is answered as a request is.
                await PlainTextResponse(f"{refusal}\n", status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class WaitForPostgresql:
    """Answers 503 in words while PostgreSQL does not answer, and has the browser ask again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; nothing of its answer has been sent when the database fails it."""
        try:
            await self._app(scope, receive, send)
        except DATABASE_ERRORS:
            if scope["type"] != "http":
                raise
            headers = {"Refresh": str(AGAIN_SECONDS), "Retry-After": str(AGAIN_SECONDS)}
            await PlainTextResponse(NO_DATABASE, status_code=503, headers=headers)(scope, receive, send)


def refused(headers: Mapping[str, str], ui_url: str, *, is_query: bool) -> str | None:
    """Why a request is not answered; None if it is. `is_query`: it asks by its address to execute something."""
    called, known = _place(f"//{headers.get('host', '')}"), _place(ui_url)
    name = called[0]
    if not is_loopback(name) and name != known[0]:
        return (
            f"The UI is not known by the name {name!r}. If it is to be, set BILLINGO_UI_URL to the address by"
            " which people reach it, and restart it."
        )
    if "origin" in headers:
        # A proxy may leave the port out of the name by which it calls us, or add one.
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
    """Host and port of a URL, the port as it is written: browsers leave out what the scheme implies, in Host too."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        return "", None
    return host or "", port


def main() -> None:
    """Run Dagster's program, with the middleware before its own."""
    ui_url = load_settings().ui_url
    build = DagsterWebserver.build_middleware

    def build_middleware(self: DagsterWebserver[Any, Any]) -> list[Middleware]:
        return [Middleware(SameSiteOnly, ui_url=ui_url), Middleware(WaitForPostgresql), *build(self)]

    DagsterWebserver.build_middleware = build_middleware  # type: ignore[method-assign]
    run_webserver()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
