"""Names of files: MLflow and bundles have them in UTF-8, whatever the locale."""

import sys

from runsync.errors import WrongUsage


def require_utf8() -> None:
    """Raises WrongUsage where Python takes the bytes of a file's name for another encoding: each name beyond ASCII
    would be read as another one. The command line begins anew in UTF-8 mode instead."""
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        raise WrongUsage(
            f"Python reads the names of files as {encoding} here, and they are UTF-8: start Python with -X utf8 or "
            "PYTHONUTF8=1, or in a UTF-8 locale such as C.UTF-8"
        )
