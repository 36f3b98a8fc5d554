"""Serves the sandbox while a command works on companies of the demo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from billingo_assets.companies.registry import Company
from billingo_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from billingo_assets.sandbox.world import World

VARIABLE = "BILLINGO_SANDBOX_URL"


@contextmanager
def serving_demo_companies(companies: Iterable[Company], settings: Settings) -> Iterator[Settings]:
    """Serve the demo's companies while the block runs, if any of these is one; yield the settings with its address."""
    if not any(company.is_demo for company in companies):
        yield settings
        return
    from billingo_assets.sandbox.world import World

    with serving(World()) as settings:
        yield settings


@contextmanager
def serving(world: World) -> Iterator[Settings]:
    """Serve a world on a free port. The environment passes it to this process and those that it starts."""
    from billingo_assets.sandbox.server import SandboxServer

    with SandboxServer(world) as sandbox:
        os.environ[VARIABLE] = sandbox.url
        load_settings.cache_clear()
        try:
            yield load_settings()
        finally:
            del os.environ[VARIABLE]
            load_settings.cache_clear()
