"""What a header of a request can be."""

import re

_NAME = re.compile(r"[\w!#$%&'*+\-.^`|~]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def unsendable(name: str, value: str) -> str:
    """Why a header cannot be sent, without its value; "" when it can."""
    if not _NAME.fullmatch(name):
        return f"“{name}” cannot be the name of a header"
    if _CONTROL.search(value):
        return f"the value of the header “{name}” has a line break, or another control character"
    if value[:1].isspace():
        return f"the value of the header “{name}” begins with a space"
    if not value.isascii() and any(ord(sign) > 0xFF for sign in value):
        return f"the value of the header “{name}” has characters beyond Latin-1, which no header carries"
    return ""
