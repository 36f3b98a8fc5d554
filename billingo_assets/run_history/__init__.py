"""Past runs in Dagster's event log: their kinds, outcomes and failures, and their deletion."""
