"""Names of artifacts that an MLflow server takes, lists and gives back unchanged.

A server decodes a path until it stays the same, each time taking it apart as a URL and putting it together again, and
then writes control characters as escapes (`mlflow/utils/uri.py`, `validate_path_is_safe`). So some names arrive as
others, and asking for such a name gets the other file.

Tried name by name on 2.22.5 and 3.17.2 (written, listed, read back), by the artifact proxy and by upload-artifact and
get-artifact; the two versions agree.
"""

import re
from urllib.parse import uses_netloc

SURVIVING = frozenset(f"{byte:02x}" for byte in (*range(0x20), 0x7F)) - {"09", "0a", "0d"}
"""Escapes, in small letters, that a server gives back: those of control characters, but for tab and line ends."""
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EMPTY_PART = re.compile(r"[?;](?=/|$)|;(?=\?)")
"""A query or parameters of a URL with nothing in them: the sign is lost."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def unfit(path: str, below_root: bool) -> str | None:
    """What in an artifact path does not survive on an MLflow server; None where all of it does.

    `below_root`: the server is given the whole path with its root before it, as by the artifact proxy; only folders
    are named by themselves then, to be listed.
    """
    if "#" in path:
        return "“#”"
    if _CONTROL.search(path):
        return "a control character"
    for escape in _ESCAPE.findall(path):
        if escape not in SURVIVING:
            return f"the escape “%{escape}”"
    if found := _EMPTY_PART.search(path):
        return f"“{found.group()}” at the end of a step"
    alone = path.rpartition("/")[0] if below_root else path
    return _unfit_beginning(alone)


def unfit_folder(path: str) -> str | None:
    """What in the path of a folder keeps a server from listing it; it would list another one, or none."""
    return unfit(path, below_root=False)


def _unfit_beginning(path: str) -> str | None:
    """Of what a server takes for a URL of its own."""
    if path.startswith(" ") or _ESCAPE.match(path):
        return "a blank or an escape at the beginning"
    if path.startswith("\\\\"):
        return "“\\\\” at the beginning"
    if (found := _SCHEME.match(path)) is None:
        return None
    scheme = found.group(1)
    is_drive = len(scheme) == 1 and path[2:3] in ("/", "\\")
    is_kept = scheme == scheme.lower() and scheme not in uses_netloc and not is_drive
    return None if is_kept else f"“{scheme}:” at the beginning"
