"""The sensors: partitions that follow the registry, freshness that follows the clock, alerts, the health table."""
