"""Databricks workspaces, against the strict emulator."""
