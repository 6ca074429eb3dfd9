"""Commands of the group runs."""
