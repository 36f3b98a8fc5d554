"""What was asked of the API, in few words, from the sandbox's log. No tests here."""

from __future__ import annotations

from urllib.parse import parse_qs

from billingo_assets.sandbox import RequestRecord, SandboxServer

_LISTINGS = {"last_modified_date": "modified", "paid_start_date": "paid", "start_number": "number"}

NOTHING_CHANGED = ["organization", "modified 1", "paid 1", "all 1"]
"""What an incremental sync asks when there is nothing to find."""


def questions(sandbox: SandboxServer) -> list[str]:
    """What was asked, oldest first: `organization`, or a listing (all, modified, paid, number) and its page."""
    return [_question(request) for request in sandbox.requests]


def told(sandbox: SandboxServer, parameter: str) -> list[str]:
    """Every value that was sent of a parameter."""
    return [value for request in sandbox.requests for value in parse_qs(request.query).get(parameter, [])]


def _question(request: RequestRecord) -> str:
    if request.path != "/v3/documents":
        return request.path.removeprefix("/v3/")
    query = parse_qs(request.query)
    listing = next((name for parameter, name in _LISTINGS.items() if parameter in query), "all")
    return f"{listing} {query['page'][0]}"
