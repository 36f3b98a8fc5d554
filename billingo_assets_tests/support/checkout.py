"""A copy of the project that a test changes as a newcomer would, with data of its own. No tests here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PROGRAM = ("-c", "from billingo_assets.cli import main; main()")


@dataclass(frozen=True)
class Checkout:
    """The copy, and how its commands are run."""

    folder: Path

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run Python in it, and return what it prints; its errors too if they are expected."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("BILLINGO_", "DAGSTER_"))
        }
        own = {"PYTHONPATH": str(self.folder), "BILLINGO_HOME": str(self.folder / "home")}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=inherited | own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exit_code, done.stderr + done.stdout
        return done.stdout if exit_code == 0 else done.stdout + done.stderr

    def program(self, *arguments: str) -> str:
        """Run `billingo-assets`."""
        return self.run(*PROGRAM, *arguments)

    def query(self, sql: str) -> list[str]:
        """The rows of a query, with `|` between the columns."""
        return self.program("database", "psql", "-Atc", sql).splitlines()

    def write(self, path: str, text: str) -> None:
        """Write a new file."""
        (self.folder / path).write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that the file has once."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has this {text.count(old)} times: {old}"
        self.write(path, text.replace(old, new))


def copied(folder: Path) -> Checkout:
    """Copy what a newcomer changes and runs."""
    for name in ("billingo_assets", "tools"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder)
    return Checkout(folder)
