"""Commands of the group traces."""
