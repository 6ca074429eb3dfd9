"""Runs that a server has purged, brought back from a bundle."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from runsync.bundle.address import locate, name_of
from runsync.bundle.snapshot import Snapshot
from runsync.contract.editor import Editor
from runsync.contract.source import Source, Unread
from runsync.errors import BundleDamaged, NothingSelected, RequestRefused, RunsyncError
from runsync.kinds.left_behind import NOT_OF_RUNS, PARENT_LINKS
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import ORIGIN, origin_of
from runsync.model.ids import unfit_id
from runsync.model.named import BY_ID
from runsync.model.provenance import Provenance
from runsync.model.run import Batch, Run, Unreadable
from runsync.model.selection import Selection
from runsync.runs.change import FAILED, IMPORT, NOT_REACHED, Change, ChangeReport, How, item_of
from runsync.runs.choose import FEW, Meant, chosen_runs, nested_among
from runsync.runs.several_snapshots import import_from_each
from runsync.transfer.find import find_run
from runsync.transfer.import_ import import_
from runsync.transfer.places import open_held
from runsync.transfer.report import TransferReport

NEW_IDS = "runs that the server had purged have new ids there, which MLflow gives out itself (--json tells which)"


class _Search:
    """Looks for the runs of a selection in one snapshot after the other: each that is named once, all others in all."""

    def __init__(self, selection: Selection, unread: Unread) -> None:
        self._selection = selection
        self._unread = unread
        self._left = list(selection.runs)
        self._ids: list[str] = []
        self._before: Snapshot | None = None
        self._errors: dict[str, NothingSelected] = {}
        self._has_met = False

    def look(self, snapshot: Snapshot, there: Sequence[Experiment]) -> list[Run]:
        """The runs that are meant in a snapshot; of those that the one before has too, maybe only some."""
        before, self._before = self._before, snapshot
        try:
            within = self._selection.choose(there)
        except NothingSelected as error:
            self._errors.setdefault("", error)
            return []
        if not self._selection.runs:
            self._has_met = True
            selection = self._selection
            found = snapshot.unlike(before, within, selection) if before else snapshot.batches(within, selection)
            return list(_runs(found, self._unread))
        return self._named(snapshot, there, within)

    def _named(self, snapshot: Snapshot, there: Sequence[Experiment], within: Sequence[Experiment]) -> list[Run]:
        ids: list[str] = []
        for text in list(self._left):
            try:
                ids.append(find_run(snapshot, text, within, self._selection.state).run_id)
            except NothingSelected as error:
                self._errors.setdefault(text, error)
            else:
                self._left.remove(text)
        self._ids += ids
        selection = replace(self._selection, runs=tuple(ids))
        return chosen_runs(snapshot, selection, there, self._unread) if ids else []

    @property
    def is_over(self) -> bool:
        """Whether all that were named are found."""
        return bool(self._selection.runs) and not self._left

    def end(self) -> Selection:
        """The selection by ids. Raises NothingSelected for what no snapshot has."""
        for text in self._left:
            raise self._errors.get(text) or self._errors[""]
        if "" in self._errors and not (self._has_met or self._ids):
            raise self._errors[""]
        return replace(self._selection, runs=tuple(dict.fromkeys(self._ids)))


class Purged:
    """Those of the runs chosen from a bundle that the server no longer has."""

    def __init__(self, where: str, bundle: str | Path, editor: Editor, how: How) -> None:
        self._where = where
        self._bundle = bundle
        self._editor = editor
        self._how = how
        self._runs: dict[str, Run] = {}
        self._children: set[str] = set()
        self._names: dict[str, str] = {}
        self._snapshot_of: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._new_ids: dict[str, str] = {}
        self._damage: dict[str, Unreadable] = {}
        self._doubtful: set[str] = set()

    def look(self, source: Source, homes: Sequence[Experiment], selection: Selection, children: bool) -> Meant:
        """Chooses in the bundle: in the snapshot that was named, or in all, each run in the newest that has it.

        Gives the runs that the server has (those that were imported from a bundle before, too), and those among them
        that came along with their parents apart. Raises BundleDamaged where what cannot be read may
        have a run that is named.
        """
        wanted: dict[str, Run] = {}
        with open_held(self._bundle, "restore", self._how.access) as newest:
            search = _Search(selection, self._note_damage)
            for snapshot in self._snapshots(newest):
                is_doubtful = bool(self._damage)
                there = snapshot.experiments(Selection())
                self._names = {e.experiment_id: e.name for e in there} | self._names
                found = {run.run_id: run for run in search.look(snapshot, there) if run.run_id not in wanted}
                if found and children:
                    everything = _runs(snapshot.batches(there, Selection()), self._note_damage)
                    below = nested_among(everything, {*wanted, *found}, list(found))
                    self._children |= {run.run_id for run in below}
                    found.update((run.run_id, run) for run in below)
                self._snapshot_of.update(dict.fromkeys(found, snapshot.manifest.id))
                self._doubtful.update(found if is_doubtful else ())
                wanted |= found
                if search.is_over:
                    break
            selection = self._end(search)
        present = {run.run_id: run for run in source.batch(list(wanted), homes).runs}
        lost = {id: run for id, run in wanted.items() if id not in present}
        present |= _copies(source, homes, lost)
        self._runs = {id: run for id, run in lost.items() if id not in present}
        first = [run for id, run in present.items() if id not in self._children]
        return Meant(selection, first, [run for id, run in present.items() if id in self._children])

    def _snapshots(self, newest: Snapshot) -> Iterator[Snapshot]:
        """The one that was named, or all, newest first."""
        yield newest
        if locate(self._bundle, self._how.access).snapshot:
            return
        for snapshot_id in reversed(newest.bundle.snapshot_ids()[:-1]):
            try:
                manifest = newest.bundle.manifest(snapshot_id)
            except BundleDamaged as error:  # others may have the runs
                self._note_damage(Unreadable(snapshot_id, newest.bundle.address, str(error), "snapshot"))
            else:
                yield Snapshot(newest.bundle, manifest)

    def _note_damage(self, one: Unreadable) -> None:
        """Once, though several snapshots share a part."""
        self._damage.setdefault(one.id, one)

    def _end(self, search: _Search) -> Selection:
        try:
            return search.end()
        except NothingSelected as error:
            for one in self._damage.values():
                raise BundleDamaged(f"{error}; it may have been in what is damaged: {one.reason}") from None
            raise

    def changes(self, report: ChangeReport, homes: Sequence[Experiment]) -> list[Change]:
        """What brings them back; the report tells which cannot be, and what could not be read."""
        for one in self._damage.values():
            report.note_unread(one)
        deleted = {e.name for e in homes if e.lifecycle_stage == DELETED}
        changes = []
        for id, run in list(self._runs.items()):
            home = self._names[run.experiment_id]
            if why := self._refusal(id, home, deleted):
                report.items.append(item_of(run, FAILED, home, id in self._children, why))
                del self._runs[id]
            else:
                changes.append(Change(item_of(run, IMPORT, home, id in self._children), partial(self._tell, run)))
        return changes

    def _refusal(self, run_id: str, home: str, deleted: Container[str]) -> str:
        """Why a run is not brought back; "" where it is."""
        if home in deleted:
            return f"its experiment “{home}” is deleted: restore that with runsync experiments restore"
        if run_id in self._doubtful:
            where = f"{self._address}@{self._snapshot_of[run_id]}"
            return (
                f"it is in {where}, and what is damaged may hold a newer version: mend that (runsync check --repair), "
                f"or take the older one (--from {where})"
            )
        return ""

    def bring(self, report: ChangeReport) -> None:
        """Imports them all."""
        done, stopped = self._import_all()
        if done is not None:
            self._take(report, done)
        if stopped is not None:
            raise stopped

    def foresee(self, report: ChangeReport) -> None:
        """Which of them would lack something, as far as the dry run of an import tells."""
        done, stopped = self._import_all()
        if done is not None:
            if len(set(self._snapshot_of.values())) > 1:  # another snapshot may bring the parents
                done.not_carried = [left for left in done.not_carried if left.kind != PARENT_LINKS.name]
            self._take(report, done)
        report.items = [
            replace(item, action=FAILED, error=self._errors[item.id])
            if item.action == IMPORT and item.id in self._errors
            else item
            for item in report.items
        ]
        if stopped is not None:
            report.stop(stopped)

    def _import_all(self) -> tuple[TransferReport | None, RunsyncError | None]:
        runs: dict[str, list[str]] = defaultdict(list)
        for run_id in reversed(self._runs):  # those of the oldest snapshot first
            runs[self._snapshot_of[run_id]].append(run_id)
        return import_from_each(runs, self._import)

    def _take(self, report: ChangeReport, done: TransferReport) -> None:
        report.imported = done
        self._new_ids = done.id_map["runs"]
        if any(old != new for old, new in self._new_ids.items()):
            report.notes.append(NEW_IDS)
        self._errors = {one["id"]: one["error"] for one in done.failed if one["kind"] == "run"}
        self._errors.update((one["run_id"], f"{one['kind']} {one['name']}: {one['reason']}") for one in done.problems)

    def _import(self, snapshot_id: str, run_ids: Sequence[str]) -> TransferReport:
        how = self._how
        return import_(
            f"{self._address}@{snapshot_id}",
            self._where,
            selection=Selection(runs=tuple(BY_ID + run_id for run_id in run_ids)),
            accept=NOT_OF_RUNS,
            dry_run=how.dry_run,
            workers=how.workers,
            access=how.access,
            progress=how.progress,
        )

    def tell_of_stopped(self, report: ChangeReport) -> None:
        """Of the runs that it did not get to: those that were imported by then are back."""
        report.items = [
            replace(item, action=IMPORT, new_id=self._new_ids[item.id])
            if item.action == NOT_REACHED and self._is_back(item.id)
            else item
            for item in report.items
        ]

    def _is_back(self, run_id: str) -> bool:
        run = self._runs.get(run_id)
        is_there = run_id in self._new_ids and run_id not in self._errors
        return is_there and run is not None and run.lifecycle_stage != DELETED

    @property
    def _address(self) -> str:
        """The bundle as it was typed, without a snapshot."""
        return name_of(self._bundle, self._how.access)

    def _tell(self, run: Run) -> str:
        """The new id. A run that was deleted when it was exported arrives so; now it is to be active."""
        new_id = self._new_ids.get(run.run_id, "")
        if run.run_id in self._errors or not new_id:
            raise RequestRefused(self._errors.get(run.run_id, "it was not imported"))
        if run.lifecycle_stage == DELETED:
            self._editor.restore_run(Run(new_id, run.experiment_id, lifecycle_stage=DELETED))
        return new_id


def _runs(batches: Iterable[Batch], unread: Unread) -> Iterator[Run]:
    for batch in batches:
        for one in batch.unreadable:
            unread(one)
        yield from batch.runs


def _copies(source: Source, homes: Sequence[Experiment], lost: dict[str, Run]) -> dict[str, Run]:
    """Whole copies of the lost runs, by the ids that those had: of several an active one."""
    ids = {origin_of(run): id for id, run in lost.items()}
    are_few = len(ids) <= FEW and not any(map(unfit_id, ids))
    conditions = [f"= '{origin}'" for origin in ids] if are_few else ["LIKE '%'"]
    found: dict[str, Run] = {}
    for condition in conditions:
        for batch in source.batches(homes, Selection(filter=f"tags.`{ORIGIN}` {condition}")):
            for run in batch.runs:
                lost_id = ids.get(run.tags[ORIGIN], "")
                is_known = lost_id in found and found[lost_id].lifecycle_stage != DELETED
                if lost_id and not is_known and Provenance.of(run.tags).complete:
                    found[lost_id] = run
    return found
