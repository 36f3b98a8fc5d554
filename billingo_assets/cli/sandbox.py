"""`billingo-assets sandbox`: a Billingo API v3 on loopback, to try everything without an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from billingo_assets.cli.output import say

if TYPE_CHECKING:
    from billingo_assets.sandbox.server import SandboxServer
    from billingo_assets.sandbox.world import CompanySpec


@click.command(short_help="Serve a mock Billingo API.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 picks a free port.")
@click.option("--seed", default=2026, show_default=True, help="The same seed gives the same documents.")
@click.option("--companies", type=click.IntRange(1, 500), help="How many companies.  [default: 3]")
@click.option("--documents", type=click.IntRange(0, 1_000_000), help="Documents of each company.  [default: 61 to 282]")
@click.option(
    "--assume",
    multiple=True,
    metavar="NAME=VALUE",
    help="Choose a behaviour of Billingo that is not documented; see the guide at /.",
)
def sandbox(
    host: str, port: int, seed: int, companies: int | None, documents: int | None, assume: tuple[str, ...]
) -> None:
    """Serve a Billingo API v3 with invented companies until Ctrl-C."""
    from billingo_assets.sandbox.commands import read_assumptions
    from billingo_assets.sandbox.server import serve
    from billingo_assets.sandbox.world import World

    assumed = {name: value for name, _, value in (one.partition("=") for one in assume)}
    quirks, habits = read_assumptions(assumed)
    world = World(seed=seed, companies=_specs(companies, documents), habits=habits)

    def ready(server: SandboxServer) -> None:
        server.faults.quirks = quirks
        _announce(server)

    serve(world, host=host, port=port, ready=ready)


def _specs(companies: int | None, documents: int | None) -> Sequence[CompanySpec]:
    from billingo_assets.sandbox.world import DEFAULT_COMPANIES, CompanySpec

    number = companies or len(DEFAULT_COMPANIES)
    known = DEFAULT_COMPANIES[:number]
    more = [CompanySpec(f"company-{n:03}", f"{n}. Minta Kft.") for n in range(len(known) + 1, number + 1)]
    if documents is None:
        return [*known, *more]
    return [CompanySpec(spec.key, spec.name, documents) for spec in (*known, *more)]


def _announce(server: SandboxServer) -> None:
    say(f"Billingo sandbox at {server.url} (its guide: {server.base_url}/)")
    for company in server.world.companies:
        say(f"  {company.key:<14} {company.name:<28} {company.api_key}")
    say(f"Use it with BILLINGO_API_URL={server.url} and these API keys. Ctrl-C ends it.")
