"""Databricks workspaces, against the emulator."""
