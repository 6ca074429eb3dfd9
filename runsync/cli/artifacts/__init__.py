"""Commands of the group artifacts."""
