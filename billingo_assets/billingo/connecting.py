"""Makes a client from the settings."""

from __future__ import annotations

from pydantic import SecretStr

from billingo_assets.billingo.client import BillingoClient, Limits
from billingo_assets.settings import Settings


def connect(api_url: str, api_key: SecretStr, settings: Settings) -> BillingoClient:
    """Make a client of `api_url` for one key, bounded by the settings. The caller closes it."""
    limits = Limits(
        requests_per_minute=settings.requests_per_minute,
        concurrent_requests=settings.concurrent_requests,
        attempts=settings.request_attempts,
        total_seconds=settings.request_seconds,
        connect_seconds=settings.connect_timeout_seconds,
        read_seconds=settings.read_timeout_seconds,
        max_response_bytes=settings.max_response_mib * 2**20,
        max_page_records=settings.max_page_documents,
        max_pages=settings.max_pages,
    )
    return BillingoClient(api_url=api_url, api_key=api_key, limits=limits)
