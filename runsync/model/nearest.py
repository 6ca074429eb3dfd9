"""What somebody may have meant who mistyped a name."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like it; "" where none is."""
    found = difflib.get_close_matches(name.lower().replace("_", "-").replace(" ", "-"), list(known), 1)
    return found[0] if found else ""
