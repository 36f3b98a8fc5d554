"""What Dagster's event log tells of the companies: what came of each run, and how each company is."""
