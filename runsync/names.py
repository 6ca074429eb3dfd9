"""Names of files: MLflow and bundles have them in UTF-8, whatever the locale."""

import sys

from runsync.errors import WrongUsage

LONGEST_NAME = 255
LONGEST_PATH = 4096
"""Bytes that Linux allows, and hardly anybody more."""


def require_utf8() -> None:
    """Raises WrongUsage where Python takes the bytes of a file's name for another encoding: each name beyond ASCII
    would be read as another one. The command line begins anew in UTF-8 mode instead."""
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        raise WrongUsage(
            f"Python reads the names of files as {encoding} here, and they are UTF-8: start Python with -X utf8 or "
            "PYTHONUTF8=1, or in a UTF-8 locale such as C.UTF-8"
        )


def check_address(where: str) -> None:
    """Raises WrongUsage for what no place has for a name, whoever looks for it."""
    if "\0" in where:
        raise WrongUsage("an address cannot hold a NUL character")
    parts = [len(part.encode("utf-8", "surrogatepass")) for part in where.split("/")]
    if "://" not in where and (max(parts) > LONGEST_NAME or sum(parts) + len(parts) > LONGEST_PATH):
        raise WrongUsage(f"“{where[:40]}…” is longer than the name of a folder may be")
