"""Databricks-hosted MLflow: MLflow's REST API with other names, limits, credentials and artifact storage."""
