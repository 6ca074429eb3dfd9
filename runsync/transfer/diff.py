"""diff: what was added, changed and removed between two snapshots, or a snapshot and a workspace; writes nothing."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from runsync import threads
from runsync.bundle.address import Access
from runsync.bundle.snapshot import undamaged
from runsync.contract.source import Histories, Source
from runsync.errors import ITEM_ERRORS
from runsync.kinds import BY_NOUN, KINDS, NAMES, OWN_PATHS
from runsync.kinds.kind import EXPERIMENTS, Key, Kind
from runsync.kinds.scope import Scope
from runsync.model.comparison import FieldChange, changed_artifacts, changed_experiment, changed_run
from runsync.model.experiment import Experiment
from runsync.model.identity import fingerprint, origin_of
from runsync.model.lineage import origin_of_experiment
from runsync.model.naming import Naming
from runsync.model.option import takes
from runsync.model.pairing import pair
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.model.run import ArtifactFile, Batch, Contents, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.transfer.compare_entities import Seen, seen
from runsync.transfer.compare_entities import changes as changed_entity
from runsync.transfer.entities import note_names
from runsync.transfer.find import resolved
from runsync.transfer.options import DiffOptions
from runsync.transfer.places import open_source
from runsync.transfer.report import PARTLY_DONE
from runsync.transfer.unmet import unmet_fields
from runsync.workspaces.arrival.evidence import shares_runs

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
ADDED = "added"
CHANGED = "changed"
REMOVED = "removed"
_FIELDS = {
    "param": ("params",),
    "tag": ("tags",),
    "metric": ("metrics", "latest_metrics"),
    "input": ("dataset_inputs",),
    "artifact": ("artifacts",),
    "artifact list": ("artifacts",),
}
"""Which fields a piece of a run shows in."""
RUNS_A_LOOK = 200
"""Changed runs that are compared together."""


@dataclass(frozen=True, slots=True)
class Change:
    """A run, experiment or other entity that is not the same on both sides; `fields` tell how it was changed."""

    kind: str
    id: str
    name: str
    change: str
    experiment: str = ""
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class NotRead:
    """What of one side (“old” or “new”) cannot be read, or its bundle lacks since the export: nothing of it is told as
    a change. See `Unreadable`."""

    side: str
    kind: str
    id: str
    place: str
    reason: str


@dataclass(slots=True)
class Changes:
    """How many of a kind."""

    added: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(slots=True)
class DiffReport:
    """`schemas/v1/diff-report.schema.json`. The exit code is 3 when something could not be read."""

    old: Place
    new: Place
    experiments: Changes = field(default_factory=Changes)
    runs: Changes = field(default_factory=Changes)
    objects: dict[str, Changes] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    unreadable: list[NotRead] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0
    exit_code: int = 0

    def add(self, change: Change) -> None:
        """Notes a change."""
        name = NAMES[change.kind]
        counts = self.objects.setdefault(name, Changes()) if change.kind in BY_NOUN else getattr(self, name)
        setattr(counts, change.change, getattr(counts, change.change) + 1)
        self.changes.append(change)

    @property
    def counts(self) -> dict[str, Changes]:
        """Of all kinds, by their names."""
        return {**{kind.name: getattr(self, kind.name) for kind in OWN_PATHS}, **self.objects}

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-diff-report", "version": 1, **asdict(self)}


@takes(DiffOptions)
def diff(old: str, new: str, options: DiffOptions) -> DiffReport:
    """Tells what became of `old` in `new`; either is a snapshot (`backup@2026-11-01`) or a workspace.

    Runs are matched by the id they were born with, and experiments by where they came from (see `model.pairing`). Runs
    with the same fingerprint (and, between snapshots, the same number of points and the same files) count as unchanged.
    `access.artifacts` is where the artifacts of `new` really are, `source_artifacts` where those of `old` are. Raises
    RunsyncError when a side cannot be read.
    """
    begun = time.monotonic()
    access, workers = options.access or Access(), options.workers
    of_old = replace(access, artifacts=options.source_artifacts)
    with (
        open_source(old, "diff", access=of_old, workers=workers) as one,
        open_source(new, "diff", access=access, workers=workers) as other,
        threads.pool(workers) as pool,
    ):
        report = DiffReport(one.place, other.place)
        comparison = _Comparison(report, one, other, pool, options.artifacts)
        comparison.compare(options.selection or Selection(), options.progress or Silent())
        report.requests = one.requests + other.requests
    report.exit_code = PARTLY_DONE if report.unreadable else 0
    report.seconds = round(time.monotonic() - begun, 3)
    return report


@dataclass(frozen=True, slots=True)
class _Version:
    """What is kept of a run to see whether it has changed. `contents` is "" where the side does not tell them."""

    run_id: str
    name: str
    fingerprint: str
    contents: str

    def is_same(self, other: "_Version") -> bool:
        unknown = not (self.contents and other.contents)
        return self.fingerprint == other.fingerprint and (unknown or self.contents == other.contents)


_Key = tuple[str, str]
"""What matches a run of one side with that of the other: the key of its experiment, and its origin id."""


class _Side:
    """One side: its experiments by what matches them, and the runs that may differ."""

    def __init__(self, source: Source, selection: Selection, experiments: Mapping[str, Experiment]) -> None:
        self.source = source
        self.experiments = experiments
        self._keys = {e.experiment_id: key for key, e in experiments.items()}
        self._selection = selection
        self.scope = Scope(list(experiments.values()), everything=True)
        if selection.is_narrow:
            self.scope = Scope.of(selection, list(experiments.values()), {})
        self._unread: dict[tuple[str, str, str], Unreadable] = {}
        self._lacking: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """Fields of runs, by run id, that cannot be read."""

    @property
    def unread(self) -> Iterable[Unreadable]:
        """What was met and cannot be read."""
        return self._unread.values()

    def note(self, unreadable: Iterable[Unreadable]) -> None:
        """Each of them once."""
        self._unread.update({(one.kind, one.id, one.reason): one for one in unreadable})

    def has(self, kind: str, *ids: str) -> bool:
        """Whether a run or an experiment of one of these ids may be there, and cannot be read."""
        return any(key[:2] == (kind, id) for key in self._unread for id in ids)

    def may_have(self, version: _Version, key: _Key, other: "_Side") -> bool:
        """Whether a run of the other side may be in what cannot be read: by itself, or with its experiment."""
        home = other.experiments[key[0]]
        is_unread = self.has("experiment", home.experiment_id, origin_of_experiment(home))
        return is_unread or self.has("run", version.run_id, key[1])

    def lacks(self, run_id: str, field: str) -> bool:
        """Whether a field of a run may be there, and cannot be read."""
        kind, _, name = field.partition(".")
        return bool({(kind, name), (kind, "")} & {*self._lacking[run_id]})

    def versions(self, other: "_Side") -> dict[_Key, _Version]:
        """The runs that are not surely the same on the other side."""
        experiments = list(self.experiments.values())
        self.note(self.source.unreadable_experiments())
        self.note(self.source.lost(experiments, self._selection))
        if not self._selection.has_runs:
            return {}
        if self._selection.is_narrow:  # also what runs name that are the same is meant
            batches = self.source.batches(experiments, self._selection)
        else:
            batches = self.source.unlike(other.source, experiments, self._selection)
        return {
            (self._keys[run.experiment_id], origin_of(run)): _Version(
                run.run_id, run.name, fingerprint(run), _contents(batch.contents.get(run.run_id))
            )
            for batch in self._noted(undamaged(batches))
            for run in batch.runs
        }

    def _noted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.scope.note(batch.runs)
            self.note((*batch.unreadable, *batch.pieces))
            for run in batch.runs:
                contents = batch.contents.get(run.run_id)
                for piece in (*batch.broken.get(run.run_id, ()), *(contents.problems if contents else ())):
                    self._lacking[run.run_id] |= {(place, piece.name) for place in _FIELDS.get(piece.kind, ())}
            yield batch

    def entities(self, kind: Kind[Any], asked: Mapping[str, Any], pool: Executor) -> dict[Key, Seen[Any]]:
        """Those of a kind by what matches them; `asked` is what the other side has of it."""
        side = self.source.entities(kind)
        if side is None:
            return {}
        found = seen(kind, side, list(side.list(self.scope.asking(asked))), pool)
        by_key = {}
        for each in found.values():
            there = kind.rewritten(each.item, self._at_home)
            if there is not None:
                by_key[there.key] = replace(each, item=there)
        return by_key

    def _at_home(self, kind: str, id: str) -> str | None:
        """What an id of this side matches: that of an experiment, its key; all others stand for themselves."""
        return self._keys.get(id) if kind == EXPERIMENTS else id

    def key_of(self, run: Run) -> str:
        return self._keys[run.experiment_id]

    def again(self, run_ids: Sequence[str]) -> Batch:
        return self.source.batch(run_ids, list(self.experiments.values()))


class _Comparison:
    """One comparison."""

    def __init__(self, report: DiffReport, old: Source, new: Source, pool: Executor, artifacts: bool) -> None:
        self._report = report
        self._sources = (old, new)
        self._pool = pool
        self._artifacts = artifacts

    def compare(self, selection: Selection, progress: Progress) -> None:
        chosen = [resolved(source, selection) for source in self._sources]
        sides = zip(self._sources, chosen, self._paired(*chosen), strict=True)
        self._old, self._new = (_Side(*side) for side in sides)
        old, new = self._old.versions(self._new), self._new.versions(self._old)
        self._compare_experiments()
        if not old and not new:
            self._report.notes += unmet_fields(self._new.source, selection, ())
        moved = _moved(old, new)
        came = set(moved.values())
        for key, version in new.items():
            if key not in old and key not in came and not self._old.may_have(version, key, self._new):
                self._report.add(self._whole(version, ADDED, self._new.experiments[key[0]]))
        for key, version in old.items():
            if key not in new and key not in moved and not self._new.may_have(version, key, self._old):
                self._report.add(self._whole(version, REMOVED, self._old.experiments[key[0]]))
        changed = [(key, key) for key, version in old.items() if key in new and not version.is_same(new[key])]
        changed += moved.items()
        progress.expect(len(changed))
        for start in range(0, len(changed), RUNS_A_LOOK):
            some = changed[start : start + RUNS_A_LOOK]
            self._compare_runs([(old[before].run_id, new[after].run_id) for before, after in some])
            progress.advance(runs=len(some))
        for side in (self._old, self._new):
            note_names(side.source, side.scope)
        for kind in KINDS:
            if selection.has(kind.name) and (not kind.is_named_by_runs or not selection.is_narrow):
                self._compare_entities(kind)
        for name, side in (("old", self._old), ("new", self._new)):
            self._report.unreadable += [NotRead(name, u.kind, u.id, u.place, u.reason) for u in side.unread]

    def _paired(self, of_old: Selection, of_new: Selection) -> tuple[dict[str, Experiment], dict[str, Experiment]]:
        """The experiments of both sides, those that are the same under the same key."""
        old, new = self._sources
        before, after = old.experiments(of_old), new.experiments(of_new)
        if _home(old.place) == _home(new.place):
            return {e.experiment_id: e for e in before}, {e.experiment_id: e for e in after}
        addresses = _home(old.place), _home(new.place)
        found = pair(before, after, Naming().among(before), addresses, shares_runs(old, new)).found
        keys = {there.experiment_id: id for id, there in found.items()}
        return (
            {e.experiment_id: e for e in before},
            {keys.get(e.experiment_id, f"only new {e.experiment_id}"): e for e in after},
        )

    def _compare_entities(self, kind: Kind[Any]) -> None:
        """Where both sides can have such; those that runs name only when no runs are left out."""
        if any(source.entities(kind) is None for source in self._sources):
            return
        asked = next((source.kept for source in self._sources if source.kept.get(kind.name)), {})
        old, new = (side.entities(kind, asked, self._pool) for side in (self._old, self._new))
        for key in sorted(old.keys() | new.keys()):
            one, other = old.get(key), new.get(key)
            told = (other or one).item  # type: ignore[union-attr]
            unread = [(side, it.error) for side, it in ((self._old, one), (self._new, other)) if it and it.error]
            for side, error in unread:
                side.note([Unreadable(told.key[0], told.name, error, kind.noun)])
            if unread:
                continue
            fields = tuple(changed_entity(kind, one, other)) if one and other else ()
            change = CHANGED if one and other else ADDED if other else REMOVED
            if fields or change != CHANGED:
                self._report.add(Change(kind.noun, told.key[0], told.name, change, fields=fields))

    def _compare_experiments(self) -> None:
        old, new = self._old.experiments, self._new.experiments
        for key, experiment in new.items():
            if key not in old:
                self._add_whole(experiment, ADDED, self._old)
            elif fields := tuple(changed_experiment(old[key], experiment)):
                self._report.add(
                    Change("experiment", experiment.experiment_id, experiment.name, CHANGED, fields=fields)
                )
        for key, experiment in old.items():
            if key not in new:
                self._add_whole(experiment, REMOVED, self._new)

    def _add_whole(self, experiment: Experiment, change: str, other: _Side) -> None:
        id = experiment.experiment_id
        if not other.has("experiment", id, origin_of_experiment(experiment)):
            self._report.add(Change("experiment", id, experiment.name, change))

    def _whole(self, version: _Version, change: str, experiment: Experiment) -> Change:
        return Change("run", version.run_id, version.name, change, experiment.name)

    def _compare_runs(self, ids: Sequence[tuple[str, str]]) -> None:
        before, after = self._old.again([a for a, _ in ids]), self._new.again([b for _, b in ids])
        old, new = ({run.run_id: run for run in batch.runs} for batch in (before, after))
        names = {e.experiment_id: e.name for e in self._new.experiments.values()}
        with (
            self._sources[0].histories(before, self._pool) as one,
            self._sources[1].histories(after, self._pool) as other,
        ):
            for a, b in ids:
                if a in old and b in new:
                    found = self._fields(old[a], new[b], before, after, one, other)
                    fields = tuple(
                        f for f in found if not self._old.lacks(a, f.field) and not self._new.lacks(b, f.field)
                    )
                    if fields:
                        run = new[b]
                        home = names[run.experiment_id]
                        self._report.add(Change("run", run.run_id, run.name, CHANGED, home, fields))

    def _fields(
        self, old: Run, new: Run, before: Batch, after: Batch, one: Histories, other: Histories
    ) -> Iterator[FieldChange]:
        from runsync.model.points import as_table

        homes = self._old.key_of(old), self._new.key_of(new)
        if homes[0] != homes[1]:
            names = self._old.experiments[homes[0]].name, self._new.experiments[homes[1]].name
            yield FieldChange("experiment", *names)
        yield from changed_run(old, new)
        histories = self._read(self._old, old, "metrics", lambda: as_table(one.of(old.run_id)))
        others = self._read(self._new, new, "metrics", lambda: as_table(other.of(new.run_id)))
        if histories is not None and others is not None:
            yield from _changed_points(histories, others)
        if self._artifacts:
            files = self._read(self._old, old, "artifacts", lambda: self._files(self._sources[0], old, before))
            further = self._read(self._new, new, "artifacts", lambda: self._files(self._sources[1], new, after))
            if files is not None and further is not None:
                yield from changed_artifacts(files, further)

    def _read(self, side: _Side, run: Run, what: str, read: Callable[[], T]) -> T | None:
        """What cannot be read is noted."""
        try:
            return read()
        except ITEM_ERRORS as error:
            side.note([Unreadable(run.run_id, run.name, str(error), f"{what} of run")])
            return None

    def _files(self, side: Source, run: Run, batch: Batch) -> tuple[ArtifactFile, ...] | None:
        told = batch.contents.get(run.run_id)
        return side.artifacts(run) if told is None else told.artifacts


def _moved(old: Mapping[_Key, _Version], new: Mapping[_Key, _Version]) -> dict[_Key, _Key]:
    """Runs that are in another experiment than before."""
    gone = {key[1]: key for key in old if key not in new}
    return {gone[key[1]]: key for key in new if key not in old and key[1] in gone}


def _changed_points(old: "pa.Table", new: "pa.Table") -> Iterator[FieldChange]:
    """Keys whose points are not the same, with their numbers."""
    from runsync.model import points

    if points.same(old, new):
        return
    gone: dict[str, int] = {}
    come = points.appended(old, new)
    if come is None:
        before, after = points.distinct(old), points.distinct(new)
        gone = dict(points.counted_by_key(points.missing(before, after)))
        come = dict(points.counted_by_key(points.missing(after, before)))
    for key in sorted(gone.keys() | come.keys()):
        told = [
            f"{many(counted[key], 'point')} {what}"
            for counted, what in ((gone, "gone"), (come, "more"))
            if key in counted
        ]
        yield FieldChange(f"metrics.{key}", "", ", ".join(told))


def _contents(contents: Contents | None) -> str:
    if contents is None:
        return ""
    return repr((contents.metric_points, contents.artifacts))


def _home(place: Place) -> str:
    """The workspace that ids belong to: for a snapshot the one that was exported."""
    return place.details.get("source", place.address)
