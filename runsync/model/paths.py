"""Artifact paths, which come from servers, disks and bundles and are not to be trusted.

A bundle keeps every path that does not lead out of its folder. What a disk or a server does not take besides is found
out where it is written.
"""

from collections.abc import Iterable

LONGEST_STEP = 255
"""Bytes of the name of a file or folder."""


def unsafe(path: str) -> str | None:
    """Why a path may not be used below an artifact root anywhere, or None when it may.

    Refused are absolute paths, `..`, NUL, and what is no Unicode: no JSON, URL or S3 key can hold that.
    """
    if not path or path.startswith("/"):
        return "it is not a relative path"
    if ".." in path.split("/"):
        return "it leaves its folder"
    if "\0" in path:
        return "it has a NUL character"
    if not is_unicode(path):
        return "it has a name that is not UTF-8, which no bundle and no server can hold: rename the file"
    return None


def unfit_for_folders(path: str) -> str | None:
    """Why a path may not be used where folders are real: `a//b` and `a/./b` would be `a/b` there."""
    if reason := unsafe(path):
        return reason
    return "it has an empty step" if {"", "."} & set(path.split("/")) else None


def unfit_for_disks(path: str) -> str:
    """Why no disk holds a file of this path; "" where that is not known beforehand."""
    if reason := unfit_for_folders(path):
        return reason
    is_long = any(len(step.encode()) > LONGEST_STEP for step in path.split("/"))
    return f"a step of it is longer than {LONGEST_STEP} bytes, which no disk takes" if is_long else ""


def folders_above(paths: Iterable[str]) -> set[str]:
    """All folders that files of these paths are in."""
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found


def is_unicode(path: str) -> bool:
    """Whether a path has none of the surrogates that stand for bytes of a disk that are not UTF-8."""
    return path.isascii() or not any(map(_is_surrogate, path))


def escaped(path: str) -> str:
    """The path with bytes that are not UTF-8 as `\\xNN`: for reports, never to find a file by."""
    return path if is_unicode(path) else "".join(_escape(c) if _is_surrogate(c) else c for c in path)


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _escape(surrogate: str) -> str:
    byte = ord(surrogate) - 0xDC00  # as PEP 383 has it
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{ord(surrogate):04x}"
