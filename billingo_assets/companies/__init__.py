"""The registry of companies, the encryption of their API keys, readers, exports. No Dagster."""
