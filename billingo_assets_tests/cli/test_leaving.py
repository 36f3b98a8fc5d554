"""`billingo-assets company export|erase`, and that nothing else deletes documents."""

from __future__ import annotations

import codecs
import csv
import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from pyarrow import dataset, parquet
from sqlalchemy import Connection, Engine, text

from billingo_assets.cli.leaving import NOTHING_EXPORTED
from billingo_assets.companies import exporting
from billingo_assets.companies.formats import spreadsheet
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.instance import open_instance
from billingo_assets.names import COMPANIES, PARTITION_TAG
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.locks import company_lock
from billingo_assets.warehouse.tables import metadata
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.companies.test_export_formats import column
from billingo_assets_tests.support.office import Cell, sheets
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))


@pytest.fixture
def synced(command: Command, companies: dict[str, Company]) -> dict[str, Company]:
    """Two companies with documents, one of which has a former version."""
    answer = command("sync", "ozon-bt", "it-cardigan")
    assert answer.code == 0, answer.out
    return companies


def rows_by_table(engine: Engine, company_id: int) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            table.name: connection.execute(
                text(f"SELECT count(*) FROM {table.fullname} WHERE {column} = :company"), {"company": company_id}
            ).scalar_one()
            for table in metadata.sorted_tables
            if (column := "id" if table.name == "companies" else "company_id") in table.c
        }


def tables_of_dagster_that_name(company: str, engine: Engine) -> set[str]:
    with engine.connect() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'dagster'")).all()
        naming = "SELECT EXISTS (SELECT FROM dagster.{} AS t WHERE t::text LIKE :name)"
        found = {table for table in tables if connection.scalar(text(naming.format(table)), {"name": f"%{company}%"})}
    assert len(tables) > 10
    return found


def document_ids(engine: Engine, company_id: int) -> list[int]:
    with engine.connect() as connection:
        query = text("SELECT id FROM billingo.invoices WHERE company_id = :company ORDER BY id")
        return list(connection.scalars(query, {"company": company_id}))


def alter(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_every_table_of_a_company_is_exported_but_what_a_sync_under_way_and_alerts_and_grants_need() -> None:
    of_companies = {table.name for table in metadata.sorted_tables if "company_id" in table.c}
    left_out = {"listings", "listing_pages", "outages", "company_readers"}
    assert of_companies - left_out == {table.name for table in exporting.EXPORTED} - {"companies"}


def test_an_export_has_every_row_exactly_in_both_forms(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    company_id = synced["ozon-bt"].id
    exact = "12345678901234567890.000000000123"
    alter(
        engine, f"UPDATE billingo.invoices SET gross_total = {exact}, net_total = 0.10 WHERE company_id = {company_id}"
    )
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"))
    assert answer.code == 0, answer.err
    held = rows_by_table(engine, company_id)
    for table in exporting.EXPORTED:
        arrow = parquet.read_table(tmp_path / "out" / f"{table.name}.parquet")
        with (tmp_path / "out" / f"{table.name}.csv").open(encoding="utf-8-sig", newline="") as lines:
            sheet = list(csv.DictReader(lines))
        assert arrow.num_rows == len(sheet) == held[table.name], table.name
    invoices = parquet.read_table(tmp_path / "out" / "invoices.parquet").to_pylist()
    assert {row["gross_total"] for row in invoices} == {Decimal(exact)}
    assert {row["net_total"] for row in invoices} == {Decimal("0.10")}
    with (tmp_path / "out" / "invoices.csv").open(encoding="utf-8-sig", newline="") as lines:
        assert {(row["gross_total"], row["net_total"]) for row in csv.DictReader(lines)} == {(exact, "0.10")}
    with engine.connect() as connection:
        payloads = connection.scalars(
            text("SELECT payload::text FROM billingo.raw_invoices WHERE company_id = :id ORDER BY document_id"),
            {"id": company_id},
        ).all()
    exported = parquet.read_table(tmp_path / "out" / "raw_invoices.parquet")["payload"].to_pylist()
    assert exported == payloads


def test_a_number_too_long_for_a_decimal_is_exported_as_its_digits(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    long = f"0.{'1' * 100}"
    alter(engine, f"UPDATE billingo.invoices SET conversion_rate = {long}")
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"))
    assert answer.code == 0
    assert "note: invoices.parquet: 61 numbers written as text" in answer.out
    invoices = parquet.read_table(tmp_path / "out" / "invoices.parquet")
    assert set(invoices["conversion_rate"].to_pylist()) == {None}
    assert set(invoices["numbers_as_text"].to_pylist()) == {f'{{"conversion_rate": "{long}"}}'}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["tables"]["invoices"]["notes"] == {"invoices.parquet": {"numbers_as_text": 61}}


def test_the_exports_of_two_companies_are_read_together_exactly(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    exact = {"ozon-bt": Decimal("1.23"), "it-cardigan": Decimal("1.2345")}
    for key, rate in exact.items():
        alter(engine, f"UPDATE billingo.invoices SET conversion_rate = {rate} WHERE company_id = {synced[key].id}")
        assert command("company", "export", key, "--to", str(tmp_path / key)).code == 0
    paths = [tmp_path / key / "invoices.parquet" for key in exact]
    assert set(dataset.dataset(paths).to_table()["conversion_rate"].to_pylist()) == set(exact.values())
    assert set(pd.read_parquet(paths)["conversion_rate"]) == set(exact.values())
    for table in exporting.EXPORTED:
        assert len({parquet.read_schema(tmp_path / key / f"{table.name}.parquet").to_string() for key in exact}) == 1


@pytest.mark.parametrize("words", [["--format", "xlsx,csv-hu"], ["--format", "csv-hu", "--format", "xlsx"]])
def test_an_export_has_the_formats_that_were_asked_for(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path, words: list[str]
) -> None:
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"), *words)
    assert answer.code == 0, answer.err
    names = {f"{table.name}.{suffix}" for table in exporting.EXPORTED for suffix in ("xlsx", "hu.csv")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*names, "manifest.json"}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["formats"] == ["csv-hu", "xlsx"]
    assert {name for table in manifest["tables"].values() for name in table["sha256"]} == names


@pytest.mark.parametrize("given", ["ods", "xlsx,", "", "XLSX"])
def test_a_format_that_does_not_exist_is_refused_with_those_that_do(
    command: Command, synced: dict[str, Company], tmp_path: Path, given: str
) -> None:
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"), "--format", given)
    assert (answer.code, (tmp_path / "out").exists()) == (2, False)
    assert "parquet, csv, csv-hu, xlsx" in answer.err


@pytest.mark.parametrize("form", ["xlsx", "csv-hu"])
def test_a_hungarian_spreadsheet_shows_the_documents_as_they_are_held(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path, form: str
) -> None:
    numbers = ("3.14", "117730161111101800000000", "1/2026", "00123", "=1+1")
    for at, number in enumerate(numbers):
        document = document_ids(engine, synced["ozon-bt"].id)[at]
        alter(engine, f"UPDATE billingo.invoices SET invoice_number = '{number}' WHERE id = {document}")
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"), "--format", form)
    assert answer.code == 0, answer.err
    with engine.connect() as connection:
        held = connection.execute(
            text("SELECT invoice_number, gross_total, invoice_date FROM billingo.invoices WHERE company_id = :company"),
            {"company": synced["ozon-bt"].id},
        ).all()
    path = next((tmp_path / "out").glob(f"invoices.{'xlsx' if form == 'xlsx' else 'hu.csv'}"))
    (cells,) = sheets(path, tmp_path).values()
    assert len(cells) == 62
    shown = Counter(
        zip(*(column(cells, name) for name in ("invoice_number", "gross_total", "invoice_date")), strict=True)
    )

    def as_shown(number: str) -> str:
        guarded = form == "csv-hu" and (number.startswith("=") or spreadsheet.is_taken_for_a_value(number))
        return f"'{number}" if guarded else number

    assert shown == Counter(
        (
            Cell("string", as_shown(row.invoice_number)) if row.invoice_number else None,
            Cell("float", f"{row.gross_total.normalize():f}"),
            Cell("date", row.invoice_date.isoformat()),
        )
        for row in held
    )


EVIL = (
    *("=1+1", "+1+1", "-1+1", "@SUM(1)", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"),
    *(" =1", "\xa0=1", "\u200b=1", "\n=1", "\r\n=1", "\t=1", '"=1', ' "" =1'),
    *(
        "Foo Kft;=cmd|'/C calc'!A0;",
        "Foo; +1",
        'Foo;"=1+1"',
        "Foo,@SUM(1)",
        "Foo\t-1",
        "Foo;,\t =1",
        "=1;=2,=3\n=4",
        ";=1",
    ),
    *('Foo\n=HYPERLINK("http://evil")', "Foo\r=1", "Foo\v=1", "Foo\u2028=1", "Foo\n\n  \uff1d1"),
)
GOOD = ("", "Foo Kft; Bar-ház, 1-2 = 3", 'Az "Á"', "'quoted'", "Foo\nBar;", "50%;5")


def test_no_text_in_a_csv_is_a_formula(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    texts = dict(zip(document_ids(engine, synced["ozon-bt"].id), EVIL + GOOD, strict=False))
    assert len(texts) == len(EVIL + GOOD)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE billingo.invoices SET comment = :comment, gross_total = -7 WHERE id = :id"),
            [{"id": document_id, "comment": comment} for document_id, comment in texts.items()],
        )
    assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code == 0
    sheet = tmp_path / "out" / "invoices.csv"
    for delimiter, quoting in itertools.product(",;\t", (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)):
        rows = csv.reader(sheet.read_text("utf-8-sig").splitlines(keepends=True), delimiter=delimiter, quoting=quoting)
        cells = [cell.strip(' "\xa0\u200b\r\n\t') for row in rows for cell in row]
        evil = [cell for cell in cells if cell.startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))]
        assert {cell for cell in evil if not re.fullmatch(r"-\d+(\.\d+)?", cell)} == set(), (delimiter, quoting)
        assert len(cells) > len(texts)
    with sheet.open(encoding="utf-8-sig", newline="") as lines:
        looked_at = {int(row["id"]): row for row in csv.DictReader(lines)}
    assert {looked_at[document_id]["gross_total"] for document_id in texts} == {"-7"}
    for document_id, comment in texts.items():
        guarded = looked_at[document_id]["comment"]
        assert guarded == comment if comment in GOOD else guarded.replace("'", "") == comment.replace("'", "")
    exact = parquet.read_table(tmp_path / "out" / "invoices.parquet").to_pylist()
    assert texts.items() <= {row["id"]: row["comment"] for row in exact}.items()


def test_a_csv_says_that_it_is_utf8_and_quotes_texts_alone(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    alter(engine, "UPDATE billingo.invoices SET comment = 'Őzön', gross_total = -0.0000001, partner_name = NULL")
    assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code == 0
    sheet = (tmp_path / "out" / "invoices.csv").read_bytes()
    assert sheet.startswith(codecs.BOM_UTF8 + b"company_id,")
    assert '"Őzön"'.encode() in sheet
    assert b",-0.0000001," in sheet
    assert b",," in sheet


def test_only_the_user_can_read_what_was_exported_and_no_key_is_in_it(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code == 0
    finally:
        os.umask(before)
    files = list((tmp_path / "out").iterdir())
    assert len(files) == 2 * len(exporting.EXPORTED) + 1
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    with engine.connect() as connection:
        key = connection.scalar(text("SELECT api_key_encrypted FROM billingo.companies WHERE key = 'ozon-bt'"))
    assert key
    assert [path for path in files if key.encode() in path.read_bytes()] == []
    assert "api_key_encrypted" not in (tmp_path / "out" / "companies.csv").read_text()


def test_an_export_overwrites_nothing_and_leaves_nothing_half_done(
    command: Command, synced: dict[str, Company], tmp_path: Path
) -> None:
    (tmp_path / "sync_state.csv").write_text("mine")
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path))
    assert answer.code == 2
    assert "sync_state.csv is there already" in answer.err
    assert (tmp_path / "sync_state.csv").read_text() == "mine"
    assert not (tmp_path / "invoices.csv").exists()


def test_an_export_that_fails_takes_back_what_it_wrote(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    alter(engine, "ALTER TABLE billingo.number_gaps RENAME TO elsewhere")
    assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code != 0
    assert list((tmp_path / "out").iterdir()) == []


def test_the_manifest_has_the_rows_of_each_table_and_the_checksum_of_each_file(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    held = rows_by_table(engine, synced["ozon-bt"].id)
    assert manifest["company"] == "ozon-bt"
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        table.name: held[table.name] for table in exporting.EXPORTED
    }
    told = {name: digest for table in manifest["tables"].values() for name, digest in table["sha256"].items()}
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name != "manifest.json"}
    assert told == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


ENDING = {signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP", signal.SIGINT: "Ctrl-C"}


@contextmanager
def export_amid_its_tables(engine: Engine, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Connection]]:
    """An export that has written some of its files, and waits for a table that the connection has locked."""
    with engine.connect() as locking:
        locking.execute(text("LOCK billingo.audit_log"))
        with subprocess.Popen(
            [COMMAND, "company", "export", "ozon-bt", "--to", folder],
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests may have been told to ignore them.
            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in ENDING],
        ) as process:
            try:
                written = folder / exporting.PARTIAL / "sync_state.csv"
                until(lambda: written.exists() or process.poll() is not None or None, what="its last table but one")
                assert process.poll() is None
                yield process, locking
            finally:
                process.kill()


@pytest.mark.parametrize("number", ENDING, ids=ENDING.values())
def test_a_signal_leaves_nothing_of_an_export(
    synced: dict[str, Company], engine: Engine, tmp_path: Path, number: signal.Signals
) -> None:
    with export_amid_its_tables(engine, tmp_path / "out") as (process, _):
        process.send_signal(number)
        _, words = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 128 + number
    assert words == f"billingo-assets: Ended by {ENDING[number]}. {NOTHING_EXPORTED}\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_export_leaves_does_not_look_like_one(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    with export_amid_its_tables(engine, tmp_path / "out") as (process, _):
        process.kill()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["export.partial"]
    answer = command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"))
    assert (answer.code, "export.partial is there already" in answer.err) == (2, True)


def test_a_file_that_comes_to_be_there_amid_an_export_is_not_overwritten(
    synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "sync_state.csv"
    with export_amid_its_tables(engine, tmp_path / "out") as (process, locking):
        mine.write_text("mine")
        locking.rollback()
        _, words = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "cannot be written to: File exists" in words) == (2, True)
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_an_export_to_nowhere_is_refused(
    command: Command, synced: dict[str, Company], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    answer = command("company", "export", "ozon-bt", "--to", "")
    assert (answer.code, "name a folder" in answer.err, list(here.iterdir())) == (2, True, [])


def test_an_export_is_read_a_batch_at_a_time(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code == 0
    file = parquet.ParquetFile(tmp_path / "out" / "raw_invoices.parquet")
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (61, 7)


def test_erase_deletes_all_of_one_company_and_nothing_of_another(
    command: Command, synced: dict[str, Company], engine: Engine
) -> None:
    erased, other = synced["ozon-bt"].id, synced["it-cardigan"].id
    before = rows_by_table(engine, other)
    answer = command("company", "erase", "ozon-bt", "--yes-erase", "ozon-bt")
    assert answer.code == 0, answer.err
    left = rows_by_table(engine, erased)
    assert {table for table, rows in left.items() if rows} == {"audit_log"}
    assert rows_by_table(engine, other) == before
    with open_instance(load_settings()) as instance:
        assert instance.get_dynamic_partitions(COMPANIES) == ["it-cardigan"]
        assert instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: "ozon-bt"})) == []
        assert len(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: "it-cardigan"}))) == 1
    assert tables_of_dagster_that_name("ozon-bt", engine) == set()
    assert command("sync", "it-cardigan").code == 0


def test_an_erasure_that_breaks_off_can_be_done_again(
    command: Command, synced: dict[str, Company], engine: Engine
) -> None:
    fail = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$"
    alter(engine, f"{fail}; CREATE TRIGGER fails BEFORE DELETE ON dagster.event_logs EXECUTE FUNCTION fail()")
    assert command("company", "erase", "ozon-bt", "--yes-erase", "ozon-bt").code == 2
    alter(engine, "DROP FUNCTION fail() CASCADE")
    assert rows_by_table(engine, synced["ozon-bt"].id)["raw_invoices"] == 61
    assert command("company", "erase", "ozon-bt", "--yes-erase", "ozon-bt").code == 0
    assert tables_of_dagster_that_name("ozon-bt", engine) == set()


def test_the_proof_of_an_erasure_is_of_the_documents_that_an_export_kept(
    command: Command, synced: dict[str, Company], tmp_path: Path
) -> None:
    command("company", "export", "ozon-bt", "--to", str(tmp_path / "out"))
    answer = command("company", "erase", "ozon-bt", "--yes-erase", "ozon-bt")
    assert answer.code == 0, answer.err
    with (tmp_path / "out" / "raw_invoices.csv").open(encoding="utf-8-sig", newline="") as lines:
        kept = "\n".join(f"{row['document_id']} {row['content_hash']}" for row in csv.DictReader(lines))
    record = json.loads(command("audit", "--company", "ozon-bt", "--json").out)["records"][-1]
    assert record["action"] == "company erased"
    assert record["details"]["documents"] == 61
    assert record["details"]["documents_sha256"] == hashlib.sha256(kept.encode()).hexdigest()
    assert record["details"]["rows"]["raw_invoices"] == 61
    assert record["details"]["rows"]["companies"] == 1


@pytest.mark.parametrize("typed", ["", "n", "y", "it-cardigan", "OZON-BT"])
def test_erase_wants_the_key_typed(command: Command, synced: dict[str, Company], engine: Engine, typed: str) -> None:
    before = rows_by_table(engine, synced["ozon-bt"].id)
    answer = command("company", "erase", "ozon-bt", stdin=f"{typed}\n")
    assert answer.code == 2
    assert "company export ozon-bt" in answer.out
    assert "Nothing was deleted" in answer.err
    assert command("company", "erase", "ozon-bt", "--yes-erase", typed).code == 2 or not typed
    assert rows_by_table(engine, synced["ozon-bt"].id) == before
    assert command("company", "erase", "ozon-bt", stdin="ozon-bt\n").code == 0


def test_a_company_that_was_removed_keeps_its_documents_and_can_be_exported_and_erased(
    command: Command, synced: dict[str, Company], engine: Engine, tmp_path: Path
) -> None:
    before = rows_by_table(engine, synced["ozon-bt"].id)
    assert "kept for eight years" in command("company", "remove", "ozon-bt", stdin="y\n").out
    after = rows_by_table(engine, synced["ozon-bt"].id)
    assert after == {**before, "audit_log": before["audit_log"] + 1}
    assert command("company", "export", "ozon-bt", "--to", str(tmp_path / "out")).code == 0
    assert command("company", "erase", "ozon-bt", "--yes-erase", "ozon-bt").code == 0
    assert rows_by_table(engine, synced["ozon-bt"].id)["raw_invoices"] == 0


def test_erase_waits_for_a_sync_to_end(
    command: Command,
    synced: dict[str, Company],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BILLINGO_LOCK_WAIT_SECONDS", "0")
    company = synced["ozon-bt"]
    with (
        engine.connect() as other,
        company_lock(other, company.id, company=company.key, by="run of-another", wait_seconds=0),
    ):
        assert command("company", "erase", "ozon-bt", "--yes-erase", "ozon-bt").code == 1
    assert rows_by_table(engine, company.id)["raw_invoices"] == 61
