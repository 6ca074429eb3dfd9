"""Text that others wrote, made fit for one line of a terminal."""


def printable(text: str) -> str:
    """The text with line ends and control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
