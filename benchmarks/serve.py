"""Serves a sandbox with companies of given sizes, in a process of its own, until standard input closes.

    python -m benchmarks.serve large=100000 small=282

The address is the only line on standard output. Everything else is told and driven at /sandbox.
"""

from __future__ import annotations

import sys

from billingo_assets.sandbox import CompanySpec, SandboxServer, World


def main() -> None:
    """Generate the companies, say where they are, and serve."""
    sizes = (argument.split("=") for argument in sys.argv[1:])
    world = World(companies=[CompanySpec(key, f"{key} Kft.", int(documents)) for key, documents in sizes])
    with SandboxServer(world) as server:
        print(server.base_url, flush=True)  # noqa: T201 - it is the answer to whoever started this
        sys.stdin.read()


if __name__ == "__main__":
    main()
