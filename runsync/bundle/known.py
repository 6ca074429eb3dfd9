"""What a bundle holds already: runs that an export need not read again, and parts that must be replaced.

The newest snapshot tells most of it; the rest are parts that a later export left which was killed.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest, PartFile, RunsPart
from runsync.bundle.store import Entry, Store
from runsync.bundle.stored import StoredRun, read_runs
from runsync.bundle.suspects import Reusable
from runsync.errors import BundleDamaged
from runsync.model import times
from runsync.model.experiment import Experiment
from runsync.model.identity import fingerprint
from runsync.model.run import RUNNING, Problem, Run

CLOCKS_APART = 3600.0
"""Seconds that two clocks may differ by, before one of them counts as wrong."""


class KnownRun:
    """What is kept in memory of one stored version of a run; `place` is its part and line."""

    __slots__ = (
        "counts",
        "deleted_time",
        "digest",
        "experiment_id",
        "fingerprint",
        "has_artifacts",
        "is_growing",
        "is_sound",
        "place",
        "problems",
    )

    def __init__(self, stored: StoredRun, place: tuple[str, int], is_sound: bool, with_digest: bool) -> None:
        self.counts = stored.counts()
        self.experiment_id = stored.run.experiment_id
        self.deleted_time = stored.run.deleted_time
        self.fingerprint = stored.fingerprint
        self.has_artifacts = stored.contents.artifacts is not None
        self.problems: tuple[Problem, ...] = stored.contents.problems
        self.is_growing = bool(stored.contents.growing)
        self.is_sound = is_sound
        self.place = place
        # Only a run that is read again though its fingerprint is the same can turn out to be as it was.
        again = with_digest or self.problems or self.is_growing or stored.run.status == RUNNING
        self.digest = digest(stored) if again else b""

    def is_placed_as(self, run: Run) -> bool:
        """Whether what a fingerprint leaves out is the same, as far as the source tells it."""
        return self.experiment_id == run.experiment_id and run.deleted_time in (None, self.deleted_time)


@dataclass(slots=True)
class Known:
    """`runs` holds every stored version of a run, that of the newest snapshot first.

    `latest` is the newest snapshot that can be read, `unreadable` tells why those after it cannot, and `missing` which
    before it are gone.
    """

    latest: Manifest | None = None
    unreadable: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    runs: dict[str, list[KnownRun]] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    parts: dict[str, RunsPart] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def same(self, run: Run, with_artifacts: bool) -> KnownRun | None:
        """The version that says all that a search page tells of the run, and lacks nothing."""
        versions = self.runs.get(run.run_id)
        if not versions:
            return None
        told = fingerprint(run)
        for known in versions:
            whole = (
                known.is_sound
                and not known.problems
                and not known.is_growing
                and (known.has_artifacts or not with_artifacts)
            )
            if whole and known.fingerprint == told and known.is_placed_as(run):
                return known
        return None

    def equal(self, stored: StoredRun) -> KnownRun | None:
        """The version that equals a run which was read again."""
        candidates = [known for known in self.runs.get(stored.run.run_id, ()) if known.digest and known.is_sound]
        read = digest(stored) if candidates else b""
        return next((known for known in candidates if known.digest == read), None)

    def older(self, run_id: str) -> KnownRun | None:
        """A version to keep of a run that cannot be read now."""
        return next((known for known in self.runs.get(run_id, ()) if known.is_sound), None)


def learn(bundle: Bundle, stored: Reusable, with_digests: bool) -> Known:
    """Looks through the bundle; `stored` tells which of its files may be taken for sound.

    `with_digests` when all runs are going to be read again. A part that is broken is among `broken`.
    """
    learner = _Learner(bundle.store, stored, with_digests)
    history = bundle.history()
    ids = history.ids
    while ids:
        try:
            learner.learn_snapshot(bundle.manifest(ids.pop()))
            break
        except BundleDamaged as error:
            learner.known.unreadable.append(str(error))
    learner.known.missing = [bundle.missing(snapshot_id) for snapshot_id in ids if snapshot_id in history.missing]
    learner.learn_left_over(bundle, ids)
    return learner.known


class _Learner:
    def __init__(self, store: Store, stored: Reusable, with_digests: bool) -> None:
        self.known = Known()
        self._store = store
        self._stored = stored
        self._with_digests = with_digests
        self._there = {entry.name: entry for entry in store.list(layout.PARTS)}

    def learn_snapshot(self, manifest: Manifest) -> None:
        self.known.latest = manifest
        self._learn_experiments(manifest.experiments.path)
        for part in manifest.parts:
            files = (part.runs, *part.metrics)
            self._stored.verify(f.path for f in part.metrics)
            if all(self._stored.size(f.path) == f.bytes for f in files):
                self._learn(part.runs.path, part.runs.bytes, part)
            else:
                self.known.broken.update(f.path for f in files)

    def learn_left_over(self, bundle: Bundle, older: Sequence[str]) -> None:
        """Runs parts that are new, and that no snapshot names: prune makes new ones too, with old versions of runs."""
        since = self._since(bundle.store)
        new = {e.name for e in self._there.values() if e.modified >= since}
        left = {name for name in new - self.known.parts.keys() if name.endswith(layout.RUNS)}
        for snapshot_id in reversed(older):
            if not left:
                return
            with suppress(BundleDamaged):
                left -= {part.runs.path for part in bundle.manifest(snapshot_id).parts}
        for entry in sorted((self._there[name] for name in left), key=_age):
            self._learn(entry.name, entry.size, None)

    def _since(self, store: Store) -> float:
        """When the newest export began, by the times of files (epoch seconds): dates of snapshots are of other clocks.

        Of a manifest from the future nothing follows; where all are, every part may be new.
        """
        latest, now = self.known.latest, times.utc_now().timestamp()
        written = (entry.modified for entry in store.list(layout.SNAPSHOTS))
        newest = max((moment for moment in written if moment <= now + CLOCKS_APART), default=None)
        if latest is None or newest is None:
            return 0.0
        took = datetime.fromisoformat(latest.created_at) - datetime.fromisoformat(latest.started_at)
        return newest - max(0.0, took.total_seconds()) - CLOCKS_APART

    def _learn(self, name: str, size: int, part: RunsPart | None) -> None:
        """What runs a part holds; `part` is what the newest snapshot says of it."""
        try:
            stored = list(read_runs(self._store, name))
        except BundleDamaged:
            self.known.broken.add(name)  # read again from the source, and replaced
            return
        if part is None:
            metrics = list(self._metrics_of(stored))
            if None in metrics:
                return
            part = RunsPart(PartFile(name, size, len(stored)), tuple(file for file in metrics if file is not None))
        runs = replace(part.runs, count=len(stored))  # whatever the manifest says
        self.known.parts[name] = replace(part, runs=runs, superseded=())
        self._stored.verify(layout.blob(f.sha256 or "") for s in stored for f in s.contents.artifacts or ())
        superseded = set(part.superseded)
        for line, s in enumerate(stored, 1):
            if line not in superseded:
                listed = s.contents.artifacts or ()
                is_sound = all(self._stored.size(layout.blob(f.sha256 or "")) == f.size for f in listed)
                version = KnownRun(s, (name, line), is_sound, self._with_digests)
                self.known.runs.setdefault(s.run.run_id, []).append(version)

    def _learn_experiments(self, name: str) -> None:
        try:
            known = [Experiment.from_document(d) for d in parts.read_documents(self._store, "experiment", name)]
        except BundleDamaged:
            self.known.broken.add(name)
            return
        self.known.experiments = {e.experiment_id: e for e in known}

    def _metrics_of(self, stored: list[StoredRun]) -> Iterator[PartFile | None]:
        for part_hash in sorted({s.metrics_part for s in stored if s.metrics_part}):
            yield self._metrics_file(layout.part(part_hash, layout.METRICS))

    def _metrics_file(self, path: str) -> PartFile | None:
        self._stored.verify([path])
        if path not in self._there or self._stored.size(path) is None:
            return None
        try:
            with parts.open_metrics(self._store, path) as file:
                return PartFile(path, self._there[path].size, file.metadata.num_rows)
        except BundleDamaged:
            return None


def digest(stored: StoredRun) -> bytes:
    """Of all that a run document says, but for where its points stand. Points are only ever added to a run."""
    document = replace(stored, metrics_part="", first_row=0).to_document()
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).digest()


def _age(entry: Entry) -> float:
    return entry.modified
