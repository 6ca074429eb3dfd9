"""What the snapshots of a bundle need, found by reading every manifest and every document that they name."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runsync.bundle.bundle import Bundle
from runsync.bundle.entities import read_lines as read_entity_lines
from runsync.bundle.manifest import Manifest, RunsPart
from runsync.bundle.retention import group_of
from runsync.bundle.snapshots import read_manifests
from runsync.bundle.stored import read_lines
from runsync.errors import BundleDamaged
from runsync.kinds import BY_NAME
from runsync.kinds.kind import Kind
from runsync.model.progress import Progress


@dataclass(slots=True)
class Use:
    """A runs part, and which of its lines any snapshot needs (numbers from 1).

    `current` are the lines of the newest snapshots (of each source and selection the newest). `superseded` is what
    each snapshot leaves out, `superseded_now` what each of the newest does.
    """

    part: RunsPart
    live: set[int] = field(default_factory=set)
    current: set[int] = field(default_factory=set)
    superseded: set[tuple[int, ...]] = field(default_factory=set)
    superseded_now: set[tuple[int, ...]] = field(default_factory=set)

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
    return survey_manifests(bundle, manifests, progress)


def survey_manifests(bundle: Bundle, manifests: list[Manifest], progress: Progress) -> Survey:
    """Of snapshots whose manifests were read, oldest first. Raises likewise."""
    found = Survey(manifests)
    newest = {group_of(manifest): manifest for manifest in manifests}
    for manifest in manifests:
        for part in manifest.parts:
            use = found.uses.setdefault(part.runs.path, Use(part))
            use.superseded.add(part.superseded)
            if part.runs.count != use.part.runs.count:
                raise BundleDamaged(
                    f"{bundle.address}/{part.runs.path}: two snapshots disagree on how many runs it holds; what is "
                    "needed cannot be known: see runsync check"
                )
    for manifest in newest.values():
        for part in manifest.parts:
            found.uses[part.runs.path].superseded_now.add(part.superseded)
    superseded: dict[tuple[str, str], set[tuple[int, ...]]] = defaultdict(set)
    for manifest in manifests:
        for objects in manifest.objects:
            superseded[objects.kind, objects.documents.path].add(objects.superseded)
    for (name, path), lines in superseded.items():
        _read_entities(bundle, BY_NAME[name], path, _in_all(lines), found.blobs)
    progress.expect(sum(use.part.runs.count for use in found.uses.values()))
    for use in found.uses.values():
        _read_part(bundle, use, found.blobs)
        progress.advance(runs=use.part.runs.count)
    return found


def lines_of(part: RunsPart) -> set[int]:
    """The lines of a runs part that are of the snapshot which names it so."""
    return set(range(1, part.runs.count + 1)).difference(part.superseded)


def _read_entities(bundle: Bundle, kind: Kind[Any], name: str, dead: set[int], blobs: set[bytes]) -> None:
    """Notes which blobs the live entities of a part need."""
    try:
        for _, item in read_entity_lines(bundle.store, kind, name, dead):
            blobs.update(bytes.fromhex(blob.sha256) for blob in item.blobs)
    except BundleDamaged as error:
        raise BundleDamaged(f"{error}; what is needed cannot be known: see runsync check") from None


def _read_part(bundle: Bundle, use: Use, blobs: set[bytes]) -> None:
    """Notes which lines of a part are live, and which blobs those need."""
    dead, dead_now = _in_all(use.superseded), _in_all(use.superseded_now)
    try:
        for line, stored in read_lines(bundle.store, use.part.runs.path, count=use.part.runs.count):
            if line not in dead:
                use.live.add(line)
                blobs.update(bytes.fromhex(file.sha256 or "") for file in stored.contents.artifacts or ())
            if use.superseded_now and line not in dead_now:
                use.current.add(line)
    except BundleDamaged as error:
        raise BundleDamaged(f"{error}; what is needed cannot be known: see runsync check") from None


def _in_all(superseded: set[tuple[int, ...]]) -> set[int]:
    return set.intersection(*map(set, superseded)) if superseded else set()
