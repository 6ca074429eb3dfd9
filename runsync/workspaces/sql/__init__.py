"""An MLflow database as a workspace: SQLite, PostgreSQL, MySQL and MariaDB, in MLflow's own backend schema."""
