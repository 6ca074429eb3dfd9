"""Counts as they stand in sentences."""


def many(count: int, noun: str) -> str:
    """A count with its noun: 1 difference, 2 differences."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
