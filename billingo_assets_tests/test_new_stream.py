"""A new collection is a declaration, a line in the list of streams, a migration, and its records in the sandbox.

Sync, tables, rights, checks, `status`, masked views and export follow. CONTRIBUTING.md says how; this does it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billingo_assets.sandbox import DEFAULT_COMPANIES
from billingo_assets_tests.support.checkout import Checkout, copied

DECLARATION = '''"""Bank accounts of the company itself."""

from __future__ import annotations

from billingo_assets.streams.stream import Column, NormalizedTable, Snapshot, Stream

BANK_ACCOUNTS = Stream(
    name="bank_accounts",
    noun="bank account",
    about="The company's bank accounts as Billingo sends them.",
    path="/bank-accounts",
    raw="raw_bank_accounts",
    versions="raw_bank_account_versions",
    raw_key="bank_account_id",
    tables=(
        NormalizedTable(
            name="bank_accounts",
            comment="One row for each bank account of the company",
            asset="One row a bank account.",
            key=("id",),
            columns=(
                Column("id", "integer", "Billingo's id of the bank account", "id", nullable=False),
                Column("name", "text", "Its name in Billingo", "name", personal=False),
                Column("account_number", "text", "Its number", "account_number", personal=True, is_code=True),
                Column("currency", "text", "Its currency", "currency", personal=False, essential=True),
            ),
        ),
    ),
    normalizer_version=1,
    strategy=Snapshot(),
)
'''

RECORDS = '''

def bank_accounts(books: Books) -> Records:
    """Two pages of bank accounts."""
    return [
        {"id": id_, "name": f"Account {id_}", "account_number": f"11773016-{id_:08}", "currency": "HUF"}
        for id_ in range(1, 121)
    ]


'''

ACCOUNTS = 120


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of its own, with a collection more, and the migration for it."""
    checkout = copied(tmp_path_factory.mktemp("checkout"))
    checkout.write("billingo_assets/streams/bank_accounts.py", DECLARATION)
    checkout.edit(
        "billingo_assets/streams/__init__.py",
        "from billingo_assets.streams.documents",
        "from billingo_assets.streams.bank_accounts import BANK_ACCOUNTS\nfrom billingo_assets.streams.documents",
    )
    checkout.edit("billingo_assets/streams/__init__.py", "(DOCUMENTS,)", "(DOCUMENTS, BANK_ACCOUNTS)")
    declared = "COLLECTIONS: dict[str, Callable[[Books], Records]] = {"
    checkout.edit("billingo_assets/sandbox/collections.py", f"\n{declared}", RECORDS + declared)
    checkout.edit(
        "billingo_assets/sandbox/collections.py", f"{declared}}}", declared + '"/bank-accounts": bank_accounts}'
    )
    checkout.run("-m", "tools.make_migration", "bank_accounts")
    checkout.program("demo")
    return checkout


def test_the_page_of_tables_describes_it(checkout: Checkout) -> None:
    (checkout.folder / "docs").mkdir()
    checkout.run("-m", "tools.describe_tables")
    page = (checkout.folder / "docs/tables.md").read_text(encoding="utf-8")
    assert "## Bank accounts\n\n### bank_accounts\n\nOne row for each bank account of the company." in page
    assert 'raw_bank_accounts ||--o| bank_accounts : "company_id, bank_account_id = id"' in page
    assert "| `billingo_masked.bank_accounts` | `bank_accounts` without `account_number` |" in page


def test_there_is_nothing_more_to_migrate(checkout: Checkout) -> None:
    assert "Nothing to migrate" in checkout.run("-m", "tools.make_migration", "nothing", exit_code=1)


def test_a_sync_brings_every_record_of_every_company(checkout: Checkout) -> None:
    counted = checkout.query(
        "SELECT count(*), count(DISTINCT currency) FROM billingo.bank_accounts GROUP BY company_id"
    )
    assert counted == [f"{ACCOUNTS}|1"] * len(DEFAULT_COMPANIES)
    history = "SELECT count(*) FROM billingo.raw_bank_account_history WHERE valid_to IS NULL"
    assert checkout.query(history) == [str(ACCOUNTS * len(DEFAULT_COMPANIES))]


def test_its_checks_pass_and_status_judges_them(checkout: Checkout) -> None:
    results = checkout.query(
        "SELECT DISTINCT check_name, execution_status FROM dagster.asset_check_executions"
        " WHERE check_name LIKE '%bank_account%' ORDER BY 1"
    )
    assert results == [
        "bank_accounts_total_matches|SUCCEEDED",
        "no_rejected_bank_accounts|SUCCEEDED",
        "one_row_per_bank_account|SUCCEEDED",
    ]
    companies = json.loads(checkout.program("status", "--json"))["companies"]
    assert {company["status"] for company in companies} == {"green"}


def test_masked_readers_do_not_see_what_is_personal(checkout: Checkout) -> None:
    masked = checkout.query(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'billingo_masked' AND table_name = 'bank_accounts'"
    )
    assert "currency" in masked
    assert "account_number" not in masked


def test_a_reader_sees_only_its_companies(checkout: Checkout) -> None:
    tables = ("raw_bank_accounts", "raw_bank_account_versions", "bank_accounts")
    secured = checkout.query(
        f"SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity AND relname IN {tables}"
    )
    assert secured == [str(len(tables))]


def test_an_export_has_it(checkout: Checkout, tmp_path: Path) -> None:
    [key, *_] = checkout.query("SELECT key FROM billingo.companies")
    checkout.program("company", "export", key, "--to", str(tmp_path), "--format", "csv")
    lines = (tmp_path / "bank_accounts.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == ACCOUNTS + 1
