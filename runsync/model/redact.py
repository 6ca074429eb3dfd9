"""Secrets that people type into addresses, kept out of what is printed."""

import re
from collections.abc import Mapping

_WORD = re.compile(r"\S+")
# In s3://bucket@latest there is none.
_BEGINNING = re.compile(r"(?P<pair>(?<!s3:)//[^/@:]+:|(?<![^/])(?!s3:)[^/@:]+:)|(?<!s3:)//[^/@]+@")


def without_credentials(text: str) -> str:
    """An address (or what was meant for one) without `user:password@`."""
    return _WORD.sub(lambda found: _bare(found[0]), text) if "@" in text else text


def _bare(word: str) -> str:
    """After a colon all up to the last @ may be a password: better too much is left out than too little."""
    end = word.rfind("@") + 1
    kept: list[str] = []
    at = 0
    while found := _BEGINNING.search(word, at, end):
        kept += [word[at : found.start()], "//" if found[0].startswith("//") else ""]
        at = end if found["pair"] else found.end()
    return "".join([*kept, word[at:]])


def tags_without_credentials(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags fit to be shown: the address of a repository may hold a token."""
    return {key: without_credentials(value) if "://" in value else value for key, value in tags.items()}
