"""The floor: every page of a company fetched and its documents copied, and nothing else.

    python floor.py API_URL API_KEY DATABASE_URL CONCURRENT_REQUESTS payloads|tables

`payloads`: as one jsonb column, undecoded. `tables`: that, and each document decoded and copied into a table of
invoices and one of items, with as many columns as ours have. No checks, no retries, no second run: what no sync that
does more can be faster than. Prints the seconds it took after its imports.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import reduce
from typing import Any

import httpx
import msgspec
import psycopg

from billingo_assets.streams.documents import INVOICE_ITEMS, INVOICES

INVOICE_PATHS = [column.source.split(".") for column in INVOICES.columns]
ITEM_PATHS = [column.source.removeprefix("items[].").split(".") for column in INVOICE_ITEMS.columns[2:]]


class Page(msgspec.Struct):
    """A page of documents; each stays as it was sent."""

    data: list[msgspec.Raw]
    last_page: int


def main() -> None:
    """Fetch and copy."""
    api_url, api_key, database_url, concurrent, what = sys.argv[1:]
    started = time.monotonic()
    workers = int(concurrent)
    with (
        httpx.Client(base_url=api_url, headers={"X-API-KEY": api_key}, trust_env=False) as http,
        ThreadPoolExecutor(workers) as pool,
        psycopg.connect(database_url) as connection,
        connection.cursor() as cursor,
    ):

        def fetch(number: int) -> Page:
            answer = http.get("/documents", params={"page": number, "per_page": 100})
            return msgspec.json.decode(answer.raise_for_status().content, type=Page)

        def pages(first: Page) -> Any:
            yield [first]
            for start in range(2, first.last_page + 1, 4 * workers):
                yield pool.map(fetch, range(start, min(start + 4 * workers, first.last_page + 1)))

        write = copy_payloads(cursor) if what == "payloads" else copy_tables(cursor)
        for some in pages(fetch(1)):
            write([bytes(document) for page in some for document in page.data])
    print(time.monotonic() - started)  # noqa: T201 - it is the answer to whoever started this


def copy_payloads(cursor: psycopg.Cursor) -> Callable[[Sequence[bytes]], None]:
    """Copy documents as they were sent."""
    cursor.execute("CREATE TABLE documents (document jsonb)")

    def write(documents: Sequence[bytes]) -> None:
        with cursor.copy("COPY documents FROM STDIN") as copy:
            for document in documents:
                copy.write_row((document.decode(),))

    return write


def copy_tables(cursor: psycopg.Cursor) -> Callable[[Sequence[bytes]], None]:
    """Copy documents as they were sent, and as rows of two tables."""
    payloads = copy_payloads(cursor)
    cursor.execute(f"CREATE TABLE invoices ({_columns(len(INVOICE_PATHS))})")
    cursor.execute(f"CREATE TABLE items ({_columns(2 + len(ITEM_PATHS))})")
    decode = msgspec.json.Decoder(float_hook=Decimal).decode

    def write(documents: Sequence[bytes]) -> None:
        payloads(documents)
        decoded = [decode(document) for document in documents]
        with cursor.copy("COPY invoices FROM STDIN") as copy:
            for document in decoded:
                copy.write_row([_at(path, document) for path in INVOICE_PATHS])
        with cursor.copy("COPY items FROM STDIN") as copy:
            for document in decoded:
                for place, item in enumerate(document["items"], 1):
                    copy.write_row([document["id"], place, *(_at(path, item) for path in ITEM_PATHS)])

    return write


def _columns(number: int) -> str:
    return ", ".join(f"c{place} text" for place in range(number))


def _at(path: Sequence[str], document: dict[str, Any]) -> Any:
    return reduce(lambda holder, key: (holder or {}).get(key), path, document)


if __name__ == "__main__":
    main()
