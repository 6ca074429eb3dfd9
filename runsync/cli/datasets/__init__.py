"""Commands of the group datasets."""
