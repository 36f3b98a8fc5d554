"""Calls the command as a person does: words in, exit code and both streams out."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from billingo_assets.cli import main
from billingo_assets.settings import load_settings


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture(scope="session")
def migrated_template(dagster_template: str) -> str:
    """Databases here have Dagster's tables from the start."""
    return dagster_template


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("company", "list", stdin="…")` runs the entry point with those words."""

    def call(*words: str, stdin: str = "") -> Answer:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["billingo-assets", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        umask = os.umask(0o022)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            os.umask(umask)
        captured = capsys.readouterr()
        code = ended.value.code
        return Answer(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return call
