"""Registers companies as `billingo-assets company add` does, many in one process: each start costs two seconds.

Standard input holds a JSON object: company keys and their API keys.
"""

from __future__ import annotations

import io
import json
import sys

from billingo_assets.cli import cli


def main() -> None:
    """Call the command once for each company."""
    for key, api_key in json.load(sys.stdin).items():
        sys.stdin = io.StringIO(api_key)
        cli.main(["company", "add", key, "--name", key, "--api-key-stdin"], standalone_mode=False)


if __name__ == "__main__":
    main()
