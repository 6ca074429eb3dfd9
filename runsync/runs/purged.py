"""Runs that a server has purged, brought back from a bundle."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runsync.errors import RequestRefused
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import COMPLETE, ORIGIN, origin_of
from runsync.model.ids import unfit_id
from runsync.model.protocol import Editor, Source
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.runs.change import FAILED, IMPORT, Change, ChangeReport, How, item_of
from runsync.runs.choose import FEW, chosen_runs, nested_among, with_runs
from runsync.transfer.import_ import import_
from runsync.transfer.places import open_held

NEW_IDS = "runs that the server had purged have new ids there, which MLflow gives out itself (--json tells which)"


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
        self._errors: dict[str, str] = {}
        self._new_ids: dict[str, str] = {}

    def look(
        self, source: Source, homes: Sequence[Experiment], selection: Selection, runs: Sequence[str], children: bool
    ) -> tuple[Selection, list[Run], list[Run]]:
        """Chooses in the bundle. Gives the selection, the runs that the server has (those that were imported from a
        bundle before, too), and those among them that came along with their parents apart."""
        with open_held(self._bundle, "restore", self._how.access) as snapshot:
            there = snapshot.experiments(Selection())
            selection = with_runs(snapshot, selection, runs, there)
            wanted = {run.run_id: run for run in chosen_runs(snapshot, selection, there)}
            if children:
                everything = (run for batch in snapshot.batches(there, Selection()) for run in batch.runs)
                below = nested_among(everything, set(wanted), list(wanted))
                self._children = {run.run_id for run in below}
                wanted.update((run.run_id, run) for run in below)
        self._names = {e.experiment_id: e.name for e in there}
        present = {run.run_id: run for run in source.batch(list(wanted), homes).runs}
        lost = {id: run for id, run in wanted.items() if id not in present}
        present |= _copies(source, homes, lost)
        self._runs = {id: run for id, run in lost.items() if id not in present}
        first = [run for id, run in present.items() if id not in self._children]
        return selection, first, [run for id, run in present.items() if id in self._children]

    def changes(self, report: ChangeReport, homes: Sequence[Experiment]) -> list[Change]:
        """What brings them back; the report tells which cannot be."""
        deleted = {e.name for e in homes if e.lifecycle_stage == DELETED}
        changes = []
        for id, run in list(self._runs.items()):
            home = self._names[run.experiment_id]
            if home in deleted:
                why = f"its experiment “{home}” is deleted: restore that with runsync experiments restore"
                report.items.append(item_of(run, FAILED, home, id in self._children, why))
                del self._runs[id]
            else:
                changes.append(Change(item_of(run, IMPORT, home, id in self._children), partial(self._tell, run)))
        return changes

    def bring(self, report: ChangeReport) -> None:
        """Imports them all."""
        if not self._runs:
            return
        how = self._how
        done = import_(
            self._bundle,
            self._where,
            selection=Selection(runs=tuple(self._runs)),
            workers=how.workers,
            access=how.access,
            progress=how.progress,
        )
        report.imported = done
        self._new_ids = done.id_map["runs"]
        if any(old != new for old, new in self._new_ids.items()):
            report.notes.append(NEW_IDS)
        self._errors = {one["id"]: one["error"] for one in done.failed if one["kind"] == "run"}
        self._errors.update((one["run_id"], f"{one['kind']} {one['name']}: {one['reason']}") for one in done.problems)

    def _tell(self, run: Run) -> str:
        """The new id. A run that was deleted when it was exported arrives so; now it is to be active."""
        new_id = self._new_ids.get(run.run_id, "")
        if run.run_id in self._errors or not new_id:
            raise RequestRefused(self._errors.get(run.run_id, "it was not imported"))
        if run.lifecycle_stage == DELETED:
            self._editor.restore_run(Run(new_id, run.experiment_id, lifecycle_stage=DELETED))
        return new_id


def _copies(source: Source, homes: Sequence[Experiment], lost: dict[str, Run]) -> dict[str, Run]:
    """Whole copies of the lost runs, by the ids that those had."""
    ids = {origin_of(run): id for id, run in lost.items()}
    are_few = len(ids) <= FEW and not any(map(unfit_id, ids))
    conditions = [f"= '{origin}'" for origin in ids] if are_few else ["LIKE '%'"]
    found: dict[str, Run] = {}
    for condition in conditions:
        for batch in source.batches(homes, Selection(filter=f"tags.`{ORIGIN}` {condition}")):
            copies = [run for run in batch.runs if run.tags[ORIGIN] in ids and COMPLETE in run.tags]
            found.update((ids[run.tags[ORIGIN]], run) for run in copies)
    return found
