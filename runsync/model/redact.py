"""Secrets that people type into addresses, kept out of what is printed."""

import re

_CREDENTIALS = re.compile(r"//[^/\s@]+@|(?<![^/\s])[^/\s@:]+:[^/\s@]*@")


def without_credentials(text: str) -> str:
    """An address (or what was meant for one) without `user:password@`."""
    return _CREDENTIALS.sub(lambda found: "//" if found[0].startswith("//") else "", text)
