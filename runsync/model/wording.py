"""Counts as they stand in sentences."""

import re

_CLAUSE = re.compile(r" (?:from|that|to) ")


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
    if noun.endswith("alias"):
        return f"{noun}es"
    if noun.endswith("s"):
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def single(title: str) -> str:
    """A title of several as it stands behind a one: deletions of runs, deletion of a run."""
    begins = _CLAUSE.search(title)
    end = begins.start() if begins else len(title)
    noun, clause = title[:end], title[end:]
    head, of, whole = noun.partition(" of ")
    if of:
        whole = _one(whole)
        return f"{_one(head)} of {'an' if whole[0] in 'aeiou' else 'a'} {whole}{clause}"
    return " or ".join(map(_one, noun.split(" and "))) + clause


def _one(noun: str) -> str:
    return f"{noun[:-3]}y" if noun.endswith("ies") else noun.removesuffix("s")
