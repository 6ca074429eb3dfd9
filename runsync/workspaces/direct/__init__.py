"""Workspaces that are reached without a server: what file stores and SQL databases have in common."""
