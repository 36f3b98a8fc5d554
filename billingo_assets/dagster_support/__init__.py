"""The code that touches Dagster's insides: storage, instance, launcher, web server, in-process runs, resources."""
