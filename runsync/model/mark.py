"""The mark of a whole copy: what it was made from, in three parts, so that a later import knows what to bring again."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from runsync.model.identity import fingerprint
from runsync.model.run import ArtifactFile, Contents, Run

NOT_CARRIED = "-"
UNKNOWN = "?"
GROWING = "~"


@dataclass(frozen=True, slots=True)
class Mark:
    """`record` is the run's fingerprint, `points` its number of points, `artifacts` a digest of its files.

    As a tag: `<record>:<points>:<artifacts>`. A part that was not carried is `-`; one that was carried, or is to be,
    without its number or digest being known is `?`. Artifacts of which one was still growing are `~`, and are
    looked at again.
    """

    record: str
    points: str = NOT_CARRIED
    artifacts: str = NOT_CARRIED

    @classmethod
    def of(cls, run: Run, contents: Contents | None) -> "Mark":
        """Of a run as a source has it. A source that does not tell the contents leaves two parts unknown."""
        if contents is None:
            return cls(fingerprint(run), UNKNOWN, UNKNOWN)
        artifacts = NOT_CARRIED if contents.artifacts is None else digest(contents.artifacts)
        return cls(fingerprint(run), str(contents.metric_points), artifacts)

    @classmethod
    def parse(cls, tag: str) -> "Mark | None":
        """What a tag says; None for anything else."""
        parts = tag.split(":")
        return cls(*parts) if len(parts) == 3 else None

    def is_met_by(self, there: "Mark | None") -> bool:
        """Whether a copy so marked holds what this mark tells of, as far as this one knows it."""
        if there is None or there.record != self.record:
            return False
        return _is_met(self.points, there.points) and _is_met(self.artifacts, there.artifacts)

    def __str__(self) -> str:
        return f"{self.record}:{self.points}:{self.artifacts}"


def digest(files: Iterable[ArtifactFile]) -> str:
    """Of paths and hashes; UNKNOWN where a hash is not known."""
    named = sorted((file.path, file.sha256) for file in files)
    if any(sha256 is None for _, sha256 in named):
        return UNKNOWN
    return hashlib.sha256(orjson.dumps(named)).hexdigest()[:32]


def _is_met(wanted: str, there: str) -> bool:
    return wanted in (there, NOT_CARRIED) or (wanted == UNKNOWN and there not in (NOT_CARRIED, GROWING))
