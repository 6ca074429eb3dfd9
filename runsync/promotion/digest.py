"""The digest of a model: what it is known by wherever it lies.

It is the SHA-256 of what `sha256sum` prints of its files, sorted by path: a line `HASH  PATH` each. A signature
(`model.sig`) is none of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

from runsync.errors import RequestRefused
from runsync.growing import Files
from runsync.model.hashing import sha256_of
from runsync.model.run import ArtifactFile
from runsync.workspaces.arrival import model_ids

ADDED = "registered_model_meta"
"""The file that MLflow's client adds to the files of a version that it downloads."""
SIGNATURE = model_ids.SIGNATURE
"""The file that holds a signature of all others: a model has the same digest before it is signed."""
CACHE = "__pycache__"
"""The folder that Python adds to the files of a model which is loaded from where it lies."""
NAMED = 3
Hashes = Mapping[str, str]
"""SHA-256 (hex) by path."""


def digest_of(hashes: Hashes) -> str:
    """The digest of files, as `sha256:…`."""
    lines = (f"{hashes[path]}  {path}\n" for path in sorted(hashes) if path != SIGNATURE)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def files_of(files: Files) -> tuple[ArtifactFile, ...]:
    """Those of a model: without what is added by use. Raises RequestRefused where one of them cannot be
    read."""
    found = tuple(file for file in files.list() if file.path != ADDED and CACHE not in file.path.split("/"))
    for file in found:
        if file.fault:
            raise RequestRefused(f"“{file.path}” cannot be read: {file.fault}")
    return found


def read_hashes(files: Files, pool: Executor) -> dict[str, str]:
    """Of files as they are read now. Raises RequestRefused."""
    found = files_of(files)
    return dict(zip((f.path for f in found), pool.map(lambda f: sha256_of(files.read(f)), found), strict=True))


def difference(wanted: Hashes, there: Hashes) -> str:
    """What is wrong with files that should be others; "" for nothing."""
    lost = sorted(wanted.keys() - there.keys())
    others = sorted(path for path in wanted.keys() & there.keys() if wanted[path] != there[path])
    more = sorted(there.keys() - wanted.keys())
    told = (_told(lost, "missing"), _told(others, "with other bytes"), _told(more, "too many"))
    return "; ".join(filter(None, told))


def _told(paths: Sequence[str], what: str) -> str:
    if not paths:
        return ""
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return f"{what}: {', '.join(paths[:NAMED])}{more}"
