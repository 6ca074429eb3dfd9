"""Commands of the group models."""
