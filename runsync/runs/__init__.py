"""Runs and experiments under one's hands: find, look at, compare, change. A file a verb, over any source."""
