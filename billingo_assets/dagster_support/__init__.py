"""What touches Dagster's insides: storage, instance, launcher, web server, runs in this process, resources."""
