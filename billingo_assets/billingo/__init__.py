"""The Billingo API v3, read only: client, answers, errors, pacing, retries. No Dagster, no SQL."""
