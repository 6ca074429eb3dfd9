"""show_run: everything that a run page shows."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from typing import Any

from runsync import threads
from runsync.bundle.address import Access
from runsync.contract.source import Source, Unread
from runsync.errors import ITEM_ERRORS, BundleDamaged
from runsync.model.experiment import Experiment
from runsync.model.identity import PARENT
from runsync.model.place import Place
from runsync.model.run import PART, ArtifactFile, Batch, ModelVersion, Problem, Run, Unreadable
from runsync.model.selection import Selection
from runsync.runs.history import Curve, curves
from runsync.threads import WORKERS
from runsync.transfer.find import find_run, quoted
from runsync.transfer.model_files import logged_models
from runsync.transfer.places import open_source

PARTLY_DONE = 3
NOTES = "mlflow.note.content"
_LAUNCHED = {
    "type": "mlflow.source.type",
    "name": "mlflow.source.name",
    "commit": "mlflow.source.git.commit",
    "branch": "mlflow.source.git.branch",
    "repository": "mlflow.source.git.repoURL",
    "entry_point": "mlflow.project.entryPoint",
    "notebook_id": "mlflow.databricks.notebookID",
    "notebook_path": "mlflow.databricks.notebookPath",
    "notebook_revision": "mlflow.databricks.notebookRevisionID",
}


@dataclass(frozen=True, slots=True)
class Relative:
    """A parent or child of a run; without a name where it is not there (any more)."""

    run_id: str
    name: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class LoggedOutput:
    """A logged model of MLflow 3 that a run made, at a step; without a name where it is not there (any more)."""

    model_id: str
    step: int
    name: str = ""
    model_type: str = ""
    status: str = ""


@dataclass(slots=True)
class RunReport:
    """`schemas/v1/run-report.schema.json`. `problems` tell what could not be read: then `exit_code` is 3."""

    place: Place
    run: Run
    experiment: Experiment | None
    metrics: list[Curve] = field(default_factory=list)
    artifacts: tuple[ArtifactFile, ...] = ()
    logged_models: list[LoggedOutput] = field(default_factory=list)
    model_versions: tuple[ModelVersion, ...] = ()
    parent: Relative | None = None
    children: list[Relative] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """0 all was read, 3 something was not."""
        return PARTLY_DONE if self.problems else 0

    @property
    def launched(self) -> dict[str, str]:
        """What launched it: type and name of its source, Git commit, notebook, …; "" for what is not known."""
        return {name: self.run.tags.get(tag, "") for name, tag in _LAUNCHED.items()}

    @property
    def notes(self) -> str:
        """The notes of its page."""
        return self.run.tags.get(NOTES, "")

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-run-report",
            "version": 1,
            "place": asdict(self.place),
            "run": self.run.to_document(),
            "experiment": None if self.experiment is None else self.experiment.to_document(),
            "source": self.launched,
            "notes": self.notes,
            "metrics": [curve.to_document() for curve in self.metrics],
            "artifacts": [file.to_document() | {"fault": file.fault} for file in self.artifacts],
            "logged_models": [asdict(model) for model in self.logged_models],
            "model_versions": [asdict(version) for version in self.model_versions],
            "parent": None if self.parent is None else asdict(self.parent),
            "children": [asdict(child) for child in self.children],
            "problems": [asdict(problem) for problem in self.problems],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def show_run(
    where: str, run: str, *, artifacts: bool = True, workers: int = WORKERS, access: Access | None = None
) -> RunReport:
    """Looks up one run (its id, the beginning of it, or its name) and all that hangs off it.

    Raises NothingSelected when there is none, or several of that name.
    """
    with (
        open_source(where, "runs show", access=access or Access(), workers=workers) as source,
        threads.pool(workers) as pool,
    ):
        experiments = source.experiments(Selection())
        found = find_run(source, run, experiments)
        batch = source.complete(Batch((found,)), pool)
        home = next((e for e in experiments if e.experiment_id == found.experiment_id), None)
        report = RunReport(source.place, batch.runs[0], home)
        _look(report, source, batch, pool, artifacts)
        _look_around(report, source, experiments)
        report.requests = source.requests
    return report


def _look(report: RunReport, source: Source, batch: Batch, pool: Executor, artifacts: bool) -> None:
    """What may fail by itself."""
    run = report.run
    try:
        with source.histories(batch, pool) as histories:
            report.metrics = sorted(curves(histories.of(run.run_id)), key=lambda curve: curve.key)
    except ITEM_ERRORS as error:
        report.problems.append(Problem("metrics", run.run_id, str(error)))
    try:
        report.artifacts = source.artifacts(run) if artifacts else ()
        report.problems += [Problem("artifact", file.path, file.fault) for file in report.artifacts if file.fault]
    except ITEM_ERRORS as error:
        report.problems.append(Problem("artifacts", run.run_id, str(error)))
    try:
        report.logged_models = list(_logged(source, run))
        report.model_versions = source.model_versions(run)
    except ITEM_ERRORS as error:
        report.problems.append(Problem("models", run.run_id, str(error)))


def _logged(source: Source, run: Run) -> Iterator[LoggedOutput]:
    there = logged_models(source, {link.model_id for link in run.model_outputs})
    for link in run.model_outputs:
        model = there.get(link.model_id)
        if model is None:
            yield LoggedOutput(link.model_id, link.step)
        else:
            yield LoggedOutput(link.model_id, link.step, model.name, model.model_type, model.status)


def _look_around(report: RunReport, source: Source, experiments: Sequence[Experiment]) -> None:
    """Its parent and its children, which may lie in a part of a bundle that cannot be read."""
    run, home, unread = report.run, report.experiment, list[Unreadable]()
    try:
        report.parent = _parent(source, run, experiments)
    except BundleDamaged as error:
        report.parent = Relative(run.tags[PARENT])
        report.problems.append(Problem("parent", run.tags[PARENT], str(error)))
    report.children = list(_children(source, run, experiments if home is None else [home], unread.append))
    report.problems += [Problem("children", one.id, one.reason) for one in unread if one.kind == PART]


def _parent(source: Source, run: Run, experiments: Sequence[Experiment]) -> Relative | None:
    id = run.tags.get(PARENT)
    if not id:
        return None
    found = source.batch([id], experiments).runs
    return _relative(found[0]) if found else Relative(id)


def _children(source: Source, run: Run, experiments: Sequence[Experiment], unread: Unread) -> Iterator[Relative]:
    selection = Selection(filter=f"tags.`{PARENT}` = {quoted(run.run_id)}")
    for child in source.in_order(experiments, selection, unread=unread):
        if child.tags.get(PARENT) == run.run_id:
            yield _relative(child)


def _relative(run: Run) -> Relative:
    return Relative(run.run_id, run.name, run.status)
