"""What the tests need beside Python: what is told of programs that are not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from billingo_assets_tests.support.programs import Needed, NoProgramError, ensure_all


def _nowhere() -> Path:
    raise NoProgramError("No loom was found.")


def test_a_program_that_is_not_to_be_had_is_missing_and_an_optional_one_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ensure_all([Needed("loom", _nowhere, [])]) == ["No loom was found."]
    assert capsys.readouterr().out == ""
    assert ensure_all([Needed("loom", _nowhere, [], optional=True)]) == []
    assert capsys.readouterr().out == "No loom was found.\n"
