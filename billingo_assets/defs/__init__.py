"""The Dagster definitions: assets, checks, jobs, schedules, sensors. Thin: what they do is in the other rooms."""
