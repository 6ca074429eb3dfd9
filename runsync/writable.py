"""Whether a folder can be written to, told without leaving anything there."""

import tempfile
from pathlib import Path


def try_to_write(folder: Path) -> None:
    """Puts a file without a name where the folder is, or would be made. Raises OSError."""
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    with tempfile.TemporaryFile(dir=nearest):
        pass
