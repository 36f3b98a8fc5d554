"""The assets: thin covers over the sync engine and the normalization, with what the UI shows of them."""
