"""MLmodel files on their way to a place that gives new ids: they name their run and their logged model by the new ones.

So what a client loads there leads to the run and the model that it came from. The files of a signed model are not
changed: their signature holds for the bytes.
"""

from collections.abc import Iterable, Mapping

from runsync.model.paths import folders_above
from runsync.model.run import ArtifactFile

NAME = "MLmodel"
SIGNATURE = "model.sig"
"""What OpenSSF model signing writes beside the files of a model."""
LONGEST = 1 << 20
"""Bytes of one that is changed."""


def followers(files: Iterable[ArtifactFile]) -> frozenset[str]:
    """Of the files of a run or model the paths of the MLmodel files that follow the ids: all but those of models that
    are signed, in their own folder or in one above it."""
    known = {file.path: file.size for file in files}
    signed = {path.rpartition("/")[0] for path in known if path.rpartition("/")[2] == SIGNATURE}
    models = (path for path, size in known.items() if path.rpartition("/")[2] == NAME and size <= LONGEST)
    return frozenset(path for path in models if signed.isdisjoint({"", *folders_above([path])}))


def with_ids(content: bytes, ids: Mapping[str, str]) -> bytes:
    """The bytes of an MLmodel file with new ids in place of the old ones."""
    for old, new in ids.items():
        content = content.replace(old.encode(), new.encode()) if old and new else content
    return content
