"""The Dagster definitions: assets, checks, jobs, schedules, sensors. They are thin: the other rooms do the work."""
