"""PostgreSQL: connections, tables, migrations, and the statements that load and count. No Dagster."""
