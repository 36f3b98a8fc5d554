"""What Dagster's event log has of past runs: their kinds, outcomes, failures, and what is pruned."""
