"""Workspaces that behave and workspaces that do not: addresses, the wire, and where artifacts lie."""
