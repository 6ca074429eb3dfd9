"""A folder as a target. Runs keep their ids, so that a run is found again by its id and no id in it changes."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, cast

from runsync.contract.entities import EntityTarget
from runsync.contract.source import Histories, Source
from runsync.contract.target import Target
from runsync.errors import ITEM_ERRORS, may_pass
from runsync.kinds.kind import E, Kind
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.experiment import Experiment
from runsync.model.identity import fingerprint
from runsync.model.import_options import ImportOptions
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome, Step
from runsync.model.place import Place
from runsync.model.points import as_table
from runsync.model.progress import Progress
from runsync.model.run import RUNNING, Batch, Problem, Run
from runsync.model.selection import Selection
from runsync_toy.folder import Folder
from runsync_toy.models import ToyModelsTarget


class ToyTarget(Target):
    def __init__(self, place: Place, folder: Folder, options: ImportOptions) -> None:
        self._place = place
        self._folder = folder
        self._options = options
        self._experiments: list[tuple[Experiment, Experiment, str]] = []
        self._ids: dict[str, str] = {}

    @property
    def place(self) -> Place:
        return self._place

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        names = self._options.naming.among(experiments)
        there = {one.name: one for one in (Experiment(**found) for found in self._folder.documents("experiments"))}
        for experiment in experiments:
            found = there.get(names.of(experiment))
            id = found.experiment_id if found else experiment.experiment_id
            wanted = replace(experiment, experiment_id=id, name=names.of(experiment))
            action = CREATE if found is None else UNCHANGED if found == wanted else UPDATE
            self._experiments.append((experiment, wanted, action))
            self._ids[experiment.experiment_id] = id
        return self.foresee_experiments()

    def foresee_experiments(self) -> list[Outcome]:
        return [
            Outcome("experiment", one.experiment_id, one.name, action, wanted.experiment_id)
            for one, wanted, action in self._experiments
        ]

    def prepare(self) -> list[Outcome]:
        for _, wanted, action in self._experiments:
            if action != UNCHANGED:
                self._folder.write("experiments", wanted.experiment_id, wanted.to_document())
        return self.foresee_experiments()

    def plan(self, batch: Batch) -> list[Step]:
        return [self._step(run) for run in batch.runs]

    def _step(self, run: Run) -> Step:
        there = self._folder.document("runs", run.run_id)
        is_same = there is not None and there["made_from"] == self._mark(run) and run.status != RUNNING
        return Step(run.run_id, CREATE if there is None else UNCHANGED if is_same else UPDATE, run.run_id)

    def _mark(self, run: Run) -> str:
        """What a copy was made from. It is not written before all of the copy is in."""
        return f"{fingerprint(run)}{'' if self._options.artifacts else ' without files'}"

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        with source.histories(batch, pool) as histories:
            return [
                self._put(run, step, batch, source, histories, progress)
                for run, step in zip(batch.runs, steps, strict=True)
            ]

    def _put(
        self, run: Run, step: Step, batch: Batch, source: Source, histories: Histories, progress: Progress
    ) -> Outcome:
        done = Outcome("run", run.run_id, run.name, step.action, run.run_id)
        if step.action == UNCHANGED:
            progress.advance(runs=1)
            return done
        try:
            points = as_table(histories.of(run.run_id))
        except ITEM_ERRORS as error:
            return replace(done, action=FAILED, error=str(error), retry=may_pass(error))
        problems, count, size = self._put_files(run, batch, source) if self._options.artifacts else ([], 0, 0)
        by_key: dict[str, list[tuple[int, int, float]]] = {}
        for row in points.to_pylist():
            by_key.setdefault(row["key"], []).append((row["step"], row["timestamp"], row["value"]))
        moved = replace(run, experiment_id=self._ids[run.experiment_id])
        mark = "" if problems else self._mark(run)
        self._folder.write("runs", run.run_id, {"run": moved.to_document(), "points": by_key, "made_from": mark})
        progress.advance(runs=1, points=len(points), bytes=size)
        return replace(done, points=len(points), artifacts=count, bytes=size, problems=tuple(problems))

    def _put_files(self, run: Run, batch: Batch, source: Source) -> tuple[list[Problem], int, int]:
        problems, count, size = [], 0, 0
        contents = batch.contents.get(run.run_id)
        for file in source.artifacts(run) if contents is None else contents.artifacts or ():
            try:
                file.check()
                size += self._folder.write_file(run.run_id, file.path, source.read_artifact(run, file))
                count += 1
            except ITEM_ERRORS as error:
                problems.append(Problem("artifact", file.path, str(error)))
        return problems, count, size

    def entities(self, kind: Kind[E]) -> EntityTarget[E] | None:
        found: EntityTarget[Any] | None = ToyModelsTarget(self._folder) if kind.name == REGISTERED_MODELS.name else None
        return cast("EntityTarget[E] | None", found)
