"""Characters that an encoding does not have, such as “ and → in latin-1: shown as plain ones, or as escapes."""

import codecs

PLAIN = "runsync.plain"
"""The name of the error handler, for streams and `str.encode`."""
_LIKE = {
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("–—", "-"),
    **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)),
    "…": "...",
    "→": "->",
    "\u202f": " ",
}


def plain(character: str) -> str:
    """ASCII in place of a character: what looks like it, or its escape as Python has it."""
    return _LIKE.get(character) or character.encode("ascii", "backslashreplace").decode("ascii")


def json_escaped(text: str) -> str:
    """A JSON document in ASCII, which any encoding has."""
    return text if text.isascii() else "".join(c if c.isascii() else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


codecs.register_error(PLAIN, _handle)
