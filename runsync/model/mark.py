"""The mark of a whole copy: what it was made from, in three parts, so that a later import knows what to bring again."""

import hashlib
from dataclasses import dataclass

import orjson

from runsync.model.identity import fingerprint
from runsync.model.run import Contents, Run

NOT_CARRIED = "-"


@dataclass(frozen=True, slots=True)
class Mark:
    """`record` is the run's fingerprint, `points` its number of points, `artifacts` a digest of its files.

    As a tag: `<record>:<points>:<artifacts>`. A part that is not known, or was not carried, is `-`.
    """

    record: str
    points: str = NOT_CARRIED
    artifacts: str = NOT_CARRIED

    @classmethod
    def of(cls, run: Run, contents: Contents | None) -> "Mark":
        """Of a run as a source has it."""
        if contents is None:
            return cls(fingerprint(run))
        artifacts = NOT_CARRIED
        if contents.artifacts is not None:
            files = sorted((file.path, file.sha256) for file in contents.artifacts)
            artifacts = hashlib.sha256(orjson.dumps(files)).hexdigest()[:32]
        return cls(fingerprint(run), str(contents.metric_points), artifacts)

    @classmethod
    def parse(cls, tag: str) -> "Mark | None":
        """What a tag says; None for anything else."""
        parts = tag.split(":")
        return cls(*parts) if len(parts) == 3 else None

    def __str__(self) -> str:
        return f"{self.record}:{self.points}:{self.artifacts}"
