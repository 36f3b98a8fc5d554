"""The sensors: they update partitions from the registry, watch freshness, send alerts, refresh the health table."""
