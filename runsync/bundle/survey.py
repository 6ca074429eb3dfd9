"""What the snapshots of a bundle need, found by reading every manifest and every document that they name."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest, RunsPart
from runsync.bundle.objects import read_objects
from runsync.bundle.retention import group_of
from runsync.bundle.snapshots import read_manifests
from runsync.bundle.stored import read_runs
from runsync.errors import BundleDamaged
from runsync.model.progress import Progress


@dataclass(slots=True)
class Use:
    """A runs part, how many of its lines any snapshot needs, and which those are (numbers from 1).

    `current` are the lines of the newest snapshots (of each source and selection the newest).
    """

    part: RunsPart
    live: set[int]
    current: set[int] = field(default_factory=set)

    @property
    def points(self) -> int:
        """Rows of its metrics parts."""
        return sum(file.count for file in self.part.metrics)


@dataclass(slots=True)
class Survey:
    """Manifests oldest first, runs parts by name in the order of their age, and the hashes of all blobs needed."""

    manifests: list[Manifest]
    uses: dict[str, Use] = field(default_factory=dict)
    blobs: set[bytes] = field(default_factory=set)


def survey(bundle: Bundle, snapshot_ids: Sequence[str], progress: Progress) -> Survey:
    """Of these snapshots. Raises BundleDamaged when one of them, or a part it needs, cannot be read."""
    manifests, broken = read_manifests(bundle, snapshot_ids)
    if broken:
        raise BundleDamaged(f"{broken[0].error}; what is needed cannot be known: see runsync check")
    found = Survey(manifests)
    newest = {group_of(manifest): manifest for manifest in manifests}
    told: set[tuple[str, tuple[int, ...]]] = set()
    for manifest in manifests:
        for part in manifest.parts:
            if (part.runs.path, part.superseded) not in told:
                told.add((part.runs.path, part.superseded))
                found.uses.setdefault(part.runs.path, Use(part, set())).live |= lines_of(part)
    for manifest in newest.values():
        for part in manifest.parts:
            found.uses[part.runs.path].current |= lines_of(part)
    for kind, name in {(part.kind, part.documents.path) for manifest in manifests for part in manifest.objects}:
        _read_objects(bundle, kind, name, found.blobs)
    progress.expect(sum(len(use.live) for use in found.uses.values()))
    for use in found.uses.values():
        _read_part(bundle, use, found.blobs)
        progress.advance(runs=len(use.live))
    return found


def lines_of(part: RunsPart) -> set[int]:
    """The lines of a runs part that are of the snapshot which names it so."""
    return set(range(1, part.runs.count + 1)).difference(part.superseded)


def _read_objects(bundle: Bundle, kind: str, name: str, blobs: set[bytes]) -> None:
    """Notes which blobs further objects need."""
    try:
        for item in read_objects(bundle.store, kind, name):
            blobs.update(bytes.fromhex(blob.sha256) for blob in item.blobs)
    except BundleDamaged as error:
        raise BundleDamaged(f"{error}; what is needed cannot be known: see runsync check") from None


def _read_part(bundle: Bundle, use: Use, blobs: set[bytes]) -> None:
    """Notes which blobs the live lines of a part need."""
    name, count = use.part.runs.path, 0
    try:
        for count, stored in enumerate(read_runs(bundle.store, name), 1):
            if count in use.live:
                blobs.update(bytes.fromhex(file.sha256 or "") for file in stored.contents.artifacts or ())
    except BundleDamaged as error:
        raise BundleDamaged(f"{error}; what is needed cannot be known: see runsync check") from None
    if count != use.part.runs.count:
        wrong = f"{bundle.address}/{name} holds {count} runs, not {use.part.runs.count}"
        raise BundleDamaged(f"{wrong}; what is needed cannot be known: see runsync check")
