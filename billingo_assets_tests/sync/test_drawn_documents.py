"""Whatever is described may come, in any combination: it is stored, understood and added up, and then it rests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from billingo_assets.companies.registry import add_company
from billingo_assets.sandbox import CompanySpec, Quirks, SandboxServer, World
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.drawn import Drawing
from billingo_assets_tests.support.truth import require_truth

DAYS = 3


@pytest.fixture
def drawn(shared_engine: Engine, soak: bool) -> Iterator[Books]:
    """The books of a company of drawn documents, never synced: 300, or 2,000 with `--soak`."""
    world, drawing = World(companies=[CompanySpec("huzott", "Húzott Kft.", 0)]), Drawing(seed=11)
    served = world.company("huzott")
    for _ in range(2_000 if soak else 300):
        served.add_raw(drawing.document(), counted=True)
    with SandboxServer(world) as server, shared_engine.begin() as connection:
        company = add_company(
            connection,
            key="huzott",
            name=served.name,
            tax_code=served.tax_code,
            api_key_encrypted="held by the sandbox",
        )
        connection.commit()
        yield Books(shared_engine, company, served, server)


def test_drawn_documents_are_understood_and_rest_for_days(drawn: Books) -> None:
    first = drawn.sync()
    documents = drawn.served.ledger().documents
    assert (first.created, first.updated, first.skipped) == (documents, 0, 0)
    assert drawn.quarantine() == []
    require_truth(drawn)
    before = drawn.row_versions()
    for day in range(1, DAYS):
        drawn.sandbox.world.advance(days=1)
        for full in (False, True):
            drawn.sandbox.faults.quirks = Quirks(paid_filter_finds_unpaid=day % 2 == 0)
            report = drawn.sync(full=full)
            assert (report.created, report.updated, report.deleted, report.skipped) == (0, 0, 0, 0)
            require_truth(drawn)
    assert drawn.row_versions() == before
    assert drawn.value("SELECT count(*) FROM billingo.raw_invoice_versions WHERE company_id = :company") == 0
    unpaid = "payment_status IS NULL OR payment_status NOT IN ('paid', 'partially_paid')"
    assert (
        drawn.value(f"SELECT count(paid_date) FROM billingo.invoices WHERE company_id = :company AND ({unpaid})") == 0
    )
