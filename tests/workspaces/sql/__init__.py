"""Databases of MLflow."""
