"""Secrets that people type into addresses, kept out of what is printed."""

import re
from collections.abc import Mapping

# After a colon all up to the last @ may be a password: better too much is left out than too little.
# In s3://bucket@latest there is none.
_CREDENTIALS = re.compile(r"(?<!s3:)//[^/\s@:]+:\S*@|(?<!s3:)//[^/\s@]+@|(?<![^/\s])(?!s3:)[^/\s@:]+:\S*@")


def without_credentials(text: str) -> str:
    """An address (or what was meant for one) without `user:password@`."""
    return _CREDENTIALS.sub(lambda found: "//" if found[0].startswith("//") else "", text)


def tags_without_credentials(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags fit to be shown: the address of a repository may hold a token."""
    return {key: without_credentials(value) if "://" in value else value for key, value in tags.items()}
