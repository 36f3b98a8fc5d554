"""The sandbox's answers about one document's files: its PDF and its record at the tax office."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from billingo_assets.sandbox import Company, SandboxServer, World
from billingo_assets.sandbox.quirks import Quirks
from billingo_assets.sandbox.vocabulary import NAV_RECORDED


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(World()) as running:
        yield running


def ask(server: SandboxServer, company: Company, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", headers={"X-API-KEY": company.api_key})


def test_the_first_request_for_a_pdf_is_answered_by_202_and_the_next_by_the_pdf(server: SandboxServer) -> None:
    company = server.world.company("ozon-bt")
    path = f"/documents/{company.documents()[0]['id']}/download"
    begun, done = ask(server, company, path), ask(server, company, path)
    assert (begun.status_code, begun.json()) == (202, {"error": {"message": "The PDF is being made."}})
    assert (done.status_code, done.headers["Content-Type"]) == (200, "application/pdf")
    assert done.content.startswith(b"%PDF-")


def test_a_server_that_keeps_its_pdfs_ready_sends_one_at_once(server: SandboxServer) -> None:
    server.faults.quirks = Quirks(pdf_takes_a_moment=False)
    company = server.world.company("ozon-bt")
    assert ask(server, company, f"/documents/{company.documents()[0]['id']}/download").status_code == 200


def test_only_a_document_that_was_sent_to_the_tax_office_has_a_record_there(server: SandboxServer) -> None:
    company = server.world.company("it-cardigan")
    for document in company.documents()[:100]:
        answer = ask(server, company, f"/documents/{document['id']}/online-szamla")
        if document["online_szamla_status"] in NAV_RECORDED:
            assert answer.json()["status"] == document["online_szamla_status"]
        else:
            assert (answer.status_code, answer.json()) == (404, {"error": {"message": "Not found."}})


@pytest.mark.parametrize("part", ["download", "online-szamla"])
def test_a_document_that_is_not_there_has_no_files(server: SandboxServer, part: str) -> None:
    assert ask(server, server.world.company("ozon-bt"), f"/documents/1/{part}").status_code == 404
