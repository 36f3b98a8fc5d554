"""What deploy/ has for Caddy, read by Caddy as it stands, and what happens where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from billingo_assets.project import project_root
from billingo_assets_tests.support.webserver import caddy, in_folder


@pytest.mark.parametrize("name", ["Caddyfile", "Caddyfile.oidc"])
def test_caddy_takes_the_configuration(name: str, tmp_path: Path) -> None:
    config = project_root() / "deploy" / "caddy" / name
    command = [caddy(), "validate", "--adapter", "caddyfile", "--config", config]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=in_folder(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "Valid configuration" in ended.stdout + ended.stderr


def test_without_caddy_a_test_is_skipped_and_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=r"No Caddy was found.*apt-get install caddy"):
        caddy()
