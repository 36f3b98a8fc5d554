"""A new column is one line and a migration: the reader, the table, the masked view and the export follow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PROGRAM = ("-c", "from billingo_assets.cli import main; main()")

COLUMNS = """
        Column("partner_city", "text", "City of the partner", "document_partner.address.city", personal=True),
        Column(
            "partner_country", "text", "Country of the partner", "document_partner.address.country_code", personal=False
        ),
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, with two columns more, and the migration for them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("billingo_assets", "tools"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder)
    declared = folder / "billingo_assets/streams/documents.py"
    text = declared.read_text(encoding="utf-8")
    before, end, after = text.partition("    ),\n)\n\nINVOICE_ITEMS")
    declared.write_text(f"{before}{COLUMNS.lstrip(chr(10))}{end}{after}", encoding="utf-8")
    run(folder, "-m", "tools.make_migration", "partner_place")
    run(folder, *PROGRAM, "demo")
    return folder


def run(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BILLINGO_", "DAGSTER_"))}
    environment |= {"PYTHONPATH": str(folder), "BILLINGO_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def query(folder: Path, sql: str) -> list[str]:
    return run(folder, *PROGRAM, "database", "psql", "-Atc", sql).split()


def test_the_migration_adds_the_columns_with_their_comments(copy: Path) -> None:
    [path] = (copy / "billingo_assets/warehouse/migrations/versions").glob("*_partner_place.py")
    text = path.read_text(encoding="utf-8")
    assert "ALTER TABLE billingo.invoices ADD COLUMN partner_city TEXT;" in text
    assert "COMMENT ON COLUMN billingo.invoices.partner_country IS 'Country of the partner';" in text
    assert "DROP" not in text


def test_there_is_nothing_more_to_migrate(copy: Path) -> None:
    with pytest.raises(AssertionError, match="Nothing to migrate"):
        run(copy, "-m", "tools.make_migration", "nothing")


def test_a_sync_fills_them_and_the_masked_view_shows_what_is_not_personal(copy: Path) -> None:
    cities, countries = query(
        copy, "SELECT count(DISTINCT partner_city), count(DISTINCT partner_country) FROM billingo.invoices"
    )[0].split("|")
    assert int(cities) > 3
    assert int(countries) > 1
    masked = query(
        copy,
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'billingo_masked' AND table_name = 'invoices' ORDER BY ordinal_position",
    )
    assert masked[-1] == "partner_country"
    assert "partner_city" not in masked


def test_an_export_has_them(copy: Path, tmp_path: Path) -> None:
    [key, *_] = query(copy, "SELECT key FROM billingo.companies")
    run(copy, *PROGRAM, "company", "export", key, "--to", str(tmp_path), "--format", "csv")
    header, *_ = (tmp_path / "invoices.csv").read_text(encoding="utf-8-sig").splitlines()
    assert {"partner_city", "partner_country"} <= set(header.split(","))
