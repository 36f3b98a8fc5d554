"""PostgreSQL: the server, the tables and their migrations, what is loaded and what is counted. No Dagster."""
