"""The assets: thin covers over the sync engine and normalization, with metadata for the UI."""
