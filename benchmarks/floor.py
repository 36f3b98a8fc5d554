"""The floor: every page of a company fetched and its documents copied into one jsonb table, and nothing else.

    python floor.py API_URL API_KEY DATABASE_URL CONCURRENT_REQUESTS

No checks, no retries, no second run: what no sync that does more can be faster than. Prints the seconds it took
after its imports.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import psycopg


class Page(msgspec.Struct):
    """A page of documents; each stays as it was sent."""

    data: list[msgspec.Raw]
    last_page: int


def main() -> None:
    """Fetch and copy."""
    api_url, api_key, database_url, concurrent = sys.argv[1:]
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

        first = fetch(1)
        cursor.execute("CREATE TABLE documents (document jsonb)")
        with cursor.copy("COPY documents FROM STDIN") as copy:
            _write(copy, first)
            for start in range(2, first.last_page + 1, 4 * workers):
                for page in pool.map(fetch, range(start, min(start + 4 * workers, first.last_page + 1))):
                    _write(copy, page)
    print(time.monotonic() - started)  # noqa: T201 - it is the answer to whoever started this


def _write(copy: psycopg.Copy, page: Page) -> None:
    for document in page.data:
        copy.write_row((bytes(document).decode(),))


if __name__ == "__main__":
    main()
