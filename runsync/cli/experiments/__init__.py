"""Commands of the group experiments."""
