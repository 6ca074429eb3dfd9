"""Text that others wrote, made fit for one line of a terminal."""

import unicodedata

LONGEST = 500
"""Characters of a name that are shown: MLflow takes no longer ones."""
_SHOWN = 100
_JOINER = "\u200d"
"""Joins emoji, and does nothing else."""


def printable(text: str) -> str:
    """A text of a server or bundle: line ends, control characters, and what turns the writing, as Python has them."""
    return text if text.isprintable() else "".join(_escaped(c) if _is_control(c) else c for c in text)


def shortened(text: str) -> str:
    """The beginning of what is longer than any name, and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != _JOINER


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
