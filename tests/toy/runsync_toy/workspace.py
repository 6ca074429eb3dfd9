"""A folder as a source."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, cast

import pyarrow as pa

from runsync.contract.entities import EntitySource
from runsync.contract.target import Target
from runsync.contract.workspace import Workspace
from runsync.errors import RequestRefused
from runsync.kinds.kind import E, Kind
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.experiment import Experiment
from runsync.model.filter.evaluate import Facts, chooser
from runsync.model.import_options import ImportOptions
from runsync.model.place import Place
from runsync.model.points import points_of_key
from runsync.model.run import ArtifactFile, Batch, Run
from runsync.model.selection import Selection
from runsync_toy.folder import Folder
from runsync_toy.models import ToyModels
from runsync_toy.target import ToyTarget

TOGETHER = 100


class ToyWorkspace(Workspace):
    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @property
    def place(self) -> Place:
        return Place("toy", f"toy://{self.folder.root}", "1")

    def experiments(self, selection: Selection) -> list[Experiment]:
        chosen = selection.choose(Experiment(**document) for document in self.folder.documents("experiments"))
        return selection.having_runs(chosen, self._meant(chosen, selection)) if selection.names_runs else chosen

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        runs = list(self._meant(experiments, selection))
        for first in range(0, len(runs), TOGETHER):
            yield Batch(tuple(runs[first : first + TOGETHER]))

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        found = (self.folder.document("runs", run_id) for run_id in run_ids)
        return Batch(tuple(Run.from_document(document["run"]) for document in found if document))

    @contextmanager
    def histories(self, batch: Batch, pool: Executor) -> Iterator["ToyWorkspace"]:
        yield self

    def of(self, run_id: str) -> Iterator[pa.RecordBatch]:
        document = self.folder.document("runs", run_id)
        for key, points in document["points"].items() if document else ():
            yield points_of_key(key, *zip(*points, strict=True))

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        found = self.folder.files(run.run_id).items()
        return tuple(sorted((ArtifactFile(path, place.stat().st_size) for path, place in found), key=lambda f: f.path))

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        place = self.folder.files(run.run_id).get(file.path)
        if place is None:
            raise RequestRefused(f"run {run.run_id} has no file “{file.path}”")
        with place.open("rb") as opened:
            while chunk := opened.read(1 << 20):
                yield chunk

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        found: EntitySource[Any] | None = ToyModels(self.folder) if kind.name == REGISTERED_MODELS.name else None
        return cast("EntitySource[E] | None", found)

    def target(self, options: ImportOptions) -> Target:
        return ToyTarget(self.place, self.folder, options)

    def close(self) -> None:
        """Nothing is held open."""

    def _meant(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Run]:
        facts = Facts.of(experiments)
        is_meant = chooser(selection, facts)
        for document in self.folder.documents("runs"):
            run = Run.from_document(document["run"])
            if run.experiment_id in facts.experiments and is_meant(run, ()):
                yield run
