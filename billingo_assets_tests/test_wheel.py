"""The wheel in an environment of its own, in an empty folder: what needs no checkout works without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from billingo_assets.project import checkout
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until
from billingo_assets_tests.support.services import free_port


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist and of the wheel that is built from it, as `pip wheel` and `build` do."""
    folder = tmp_path_factory.mktemp("built")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*hatchling, "-t", "sdist"], cwd=checkout(), check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    subprocess.run([*hatchling, "-t", "wheel"], cwd=unpacked, check=True)
    return folder


@pytest.fixture(scope="module")
def program(built: Path) -> Iterator[Path]:
    """The command of an environment that has the wheel, and of this one what the wheel depends on."""
    with tempfile.TemporaryDirectory(prefix="billingo-tests-") as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = Path(folder, "bin", "python")
        (wheel,) = built.glob("*.whl")
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-cache"]
        subprocess.run([*uv, "--python", python, wheel], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        # A path in a .pth file, whose own .pth files are not read: this checkout is not among the packages.
        Path(folder, "lib", version, "site-packages", "these.pth").write_text(sysconfig.get_path("purelib"))
        yield Path(folder, "bin", "billingo-assets")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Two empty folders, of which one is the user's home; not below pytest's own, which is private to root."""
    with tempfile.TemporaryDirectory(prefix="billingo-tests-") as folder:
        Path(folder, "work").mkdir()
        Path(folder, "home").mkdir()
        yield Path(folder)


def environment(place: Path, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("BILLINGO_", "PYTHON", "DAGSTER"))}
    return {**own, "HOME": str(place / "home"), **more}


def run(program: Path, place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words],
        cwd=place / "work",
        env=environment(place, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def test_a_command_that_fails_leaves_no_folder_behind(program: Path, place: Path) -> None:
    for words in (["dev"], ["sync"], ["status"], ["demo"], ["doctor"], ["history"], ["company", "list"]):
        answer = run(program, place, *words, BILLINGO_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere")
        assert (answer.returncode, "Traceback" in answer.stderr) == (2, False), answer.stderr
        assert list((place / "work").iterdir()) == [], words


def test_the_demo_runs_in_an_empty_folder_and_keeps_its_data_there(program: Path, place: Path) -> None:
    answer = run(program, place, "demo")
    assert answer.returncode == 0, answer.stderr
    assert f"embedded, in {place / 'work' / '.billingo'}" in answer.stdout
    assert "Every count and every sum agrees" in answer.stdout
    assert "make " not in answer.stdout
    assert [path.name for path in (place / "work").iterdir()] == [".billingo"]
    assert list((place / "home").iterdir()) == []


def test_what_the_demo_left_is_synced_and_shown(program: Path, place: Path) -> None:
    companies = json.loads(run(program, place, "sync", "--json").stdout)["companies"]
    assert [company["status"] for company in companies] == ["success"] * 3
    assert run(program, place, "status").returncode == 0
    assert f"embedded, in {place / 'work' / '.billingo'}" in run(program, place, "doctor").stdout


def test_the_services_work_on_the_same_data_and_the_same_settings(program: Path, place: Path) -> None:
    (place / "work" / ".env").write_text("BILLINGO_CRON_DAILY='17 3 * * *'\n")
    port = free_port()
    dev = subprocess.Popen([program, "dev", "--port", str(port)], cwd=place / "work", env=environment(place))
    query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name cronSchedule } } } } }"

    def schedules() -> dict[str, str] | None:
        assert dev.poll() is None
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=60).json()
        except httpx.TransportError:
            return None
        nodes = answer["data"]["repositoriesOrError"].get("nodes") or [{"schedules": []}]
        return {one["name"]: one["cronSchedule"] for one in nodes[0]["schedules"]} or None

    try:
        assert "17 3 * * *" in until(schedules, what="the UI").values()
    finally:
        dev.send_signal(signal.SIGINT)
        assert dev.wait(timeout=PATIENCE_SECONDS) == 0
    assert {path.name for path in (place / "work").iterdir()} == {".billingo", ".env"}
    assert not list((place / "work" / ".billingo" / "dagster").rglob(".billingo"))


def test_a_relative_home_is_in_the_projects_folder_wherever_the_command_is_called(program: Path, place: Path) -> None:
    elsewhere = {"BILLINGO_PROJECT": str(place / "work"), "BILLINGO_HOME": ".billingo"}
    answer = subprocess.run(
        [program, "status"], cwd="/", env=environment(place, **elsewhere), capture_output=True, check=False, text=True
    )
    assert answer.returncode == 0, answer.stderr


def test_the_wheel_has_the_files_of_the_top_level_that_it_needs_and_no_tests(built: Path) -> None:
    root = checkout()
    assert root is not None
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        assert {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name} == {"billingo_assets"}
        for name in ("dagster.yaml", "workspace.yaml"):
            assert wheel.read(f"billingo_assets/{name}") == (root / name).read_bytes()
        code = {str(path.relative_to(root)) for path in (root / "billingo_assets").rglob("*.py")}
        assert code <= set(wheel.namelist())


def test_the_sdist_has_what_the_repository_has_and_no_data(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "LICENSE", "Makefile", "requirements.lock", "dagster.yaml", "docs/guarantees.md"} <= names
    data = [name for name in names if name.startswith((".venv", ".billingo", ".env", ".git/"))]
    assert set(data) <= {".env.example"}
