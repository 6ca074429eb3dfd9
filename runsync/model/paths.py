"""Artifact paths, which come from servers and bundles and are not to be trusted."""

from pathlib import PureWindowsPath


def unsafe(path: str) -> str | None:
    """Why a path may not be used below an artifact root, or None when it may.

    Refused are absolute paths (POSIX and Windows), `..`, empty steps and control characters.
    """
    steps = path.split("/")
    if not path or path.startswith("/") or PureWindowsPath(path).anchor:
        return "it is not a relative path"
    if ".." in steps or ".." in path.replace("\\", "/").split("/"):
        return "it leaves its folder"
    if "" in steps or "." in steps:
        return "it has an empty step"
    if any(ord(character) < 32 for character in path):
        return "it has a control character"
    return None
