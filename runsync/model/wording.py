"""Counts as they stand in sentences."""


def many(count: int, noun: str) -> str:
    """A count with its noun: 1 difference, 2 differences, 3 libraries."""
    return f"{count:,} {counted(count, noun)}"


def counted(count: int, noun: str) -> str:
    """The noun alone, as it stands after a count."""
    if count == 1:
        return noun
    head, of, whole = noun.partition(" of ")
    if of:
        return f"{counted(count, head)}{of}{whole if whole.endswith('s') else counted(count, whole)}"
    if noun.endswith("s"):
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
