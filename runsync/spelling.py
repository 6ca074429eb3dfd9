"""Disks that take `A.txt` and `a.txt` for one file: what lies there under one name is not written over by the other."""

import os
import unicodedata
from pathlib import Path


def folded(path: str) -> str:
    """The same for all names that some disk takes for one: upper and lower case, and the two forms of letters with
    accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def spelled_otherwise(folder: Path, path: str) -> str:
    """What the file at a path is really called, where the disk has one there under another name; else ""."""
    place = folder / path
    other = folder / path.swapcase()
    if other == place or not os.path.lexists(place) or not os.path.lexists(other):
        return ""  # nothing in the way, or a disk that tells them apart
    found, above = [], folder
    for step in path.split("/"):
        names = [entry.name for entry in above.iterdir()]
        spelled = step if step in names else next((name for name in names if folded(name) == folded(step)), step)
        found.append(spelled)
        above /= spelled
    there = "/".join(found)
    is_same = unicodedata.normalize("NFC", there) == unicodedata.normalize("NFC", path)  # some disks keep one form
    return "" if is_same else there
