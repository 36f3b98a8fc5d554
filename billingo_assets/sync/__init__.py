"""The sync engine: pages in, rows out. It knows the API client and the warehouse, and nothing of Dagster."""
