"""The registry of companies and the encryption of their API keys. No Dagster; a company is a partition elsewhere."""
