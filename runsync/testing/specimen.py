"""What is put into the places that are tested: something of everything that tends to get lost."""

import math
import uuid
from collections.abc import Set
from typing import Any

from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import PARENT, RUN_NAME
from runsync.model.run import DatasetInput, ModelLink, Run
from runsync.testing.memory import START, MemorySource, run_with_metrics
from runsync.testing.specimen_kinds import Names, held

ODD_FILES = {
    "plots/a b.txt": b"curve\n",
    "naïve 😀/ü.txt": b"u",
    "100%/#1?.csv": b"1,2\n",
    "a+b&c=d;e.txt": b"+",
    "empty.bin": b"",
}
ODD_POINTS = [
    (0, START, math.nan),
    (1, START, math.inf),
    (2, START, -math.inf),
    (2, START + 1, 5e-324),
    (2, START + 1, 1 / 3),
    (-3, START, -0.25),
]


class Specimen(MemorySource):
    """A workspace of the ids and names that belong to one test: nothing of it is in any other place."""

    def __init__(self, prefix: str, kinds: Set[str] = frozenset()) -> None:
        label = uuid.uuid4().hex[:8]
        self.home = Experiment(_number(), f"{prefix}{label} kept", tags={"team": "vision", "naïve 1": "a\nb"})
        self.gone = Experiment(_number(), f"{prefix}{label} gone", DELETED)
        self.model = f"{prefix.rpartition('/')[2]}{label}-churn"
        super().__init__([self.home, self.gone], [], {}, {}, batch_size=3)

    def add(self, name: str, points: dict[str, list[tuple[int, int, float]]], home: Experiment, **more: Any) -> Run:
        """A run, with files where they are given."""
        files = more.pop("files", {})
        tags = {RUN_NAME: name, "mlflow.user": "ada", **more.pop("tags", {})}
        times = {"start_time": START + 1000 * len(self.runs), "end_time": START + 1000 * len(self.runs) + 500}
        told = {"experiment_id": home.experiment_id, "name": name, "user_id": "ada", "tags": tags, **times}
        run = run_with_metrics(more.pop("run_id", "") or uuid.uuid4().hex, points, **{**told, **more})
        self.runs.append(run)
        self.points = {**self.points, run.run_id: points}
        self.files[run.run_id] = dict(files)
        return run


def small(prefix: str) -> Specimen:
    """Three runs in one experiment, and a deleted one without any."""
    made = Specimen(prefix)
    made.add("first", {"loss": [(0, START, 1.0), (1, START + 1, 0.5)]}, made.home, files={"a.txt": b"first"})
    made.add("second", {"loss": [(0, START, 2.0)]}, made.home, params={"lr": "0.1"}, files={"b/c.txt": b"second"})
    made.add("third", {}, made.home, tags={"note": "x"}, status="FAILED")
    return made


def whole(prefix: str, kinds: Set[str] = frozenset()) -> Specimen:
    """Nested and deleted runs, odd points, odd names of files, and entities of the kinds that are wanted."""
    made = Specimen(prefix)
    curve = [(step, START + step, step / 7) for step in range(1100)]
    parent_id, model_id = uuid.uuid4().hex, f"m-{uuid.uuid4().hex}"
    # The child is older than its parent: its link points at a run that is not there yet.
    child = made.add("child", {"loss": curve[:5]}, made.home, tags={PARENT: parent_id})
    names = Names(made.model, made.home, parent_id, child.run_id, model_id, kinds)
    points = {"loss": curve, "odd/näme 1": ODD_POINTS}
    if LOGGED_MODELS.name in kinds:
        points["auc"] = [(3, START, 0.75)]  # a point of a model is one of its run, too
    made.add(
        "parent",
        points,
        made.home,
        run_id=parent_id,
        params={"lr": "0.1", "long": "x" * 5000, "näme/a b": "1"},
        tags={"note": "a\r\nb 😀", "mlflow.note.content": "told"},
        dataset_inputs=(DatasetInput("iris", "abc", "local", "{}", "", "", {"mlflow.data.context": "training"}),),
        model_outputs=(ModelLink(model_id, 3),) if LOGGED_MODELS.name in kinds else (),
        files={"model/MLmodel": f"run_id: {parent_id}\n".encode(), **ODD_FILES},
    )
    notebook = names.notebook.items() if NOTEBOOKS.name in kinds else ()
    code = {f"mlflow.databricks.notebook{end}": value for end, value in notebook}
    made.add("failed", {}, made.home, status="FAILED", params={"lr": "0.3"}, tags=code)
    made.add("deleted", {"loss": curve[:2]}, made.home, lifecycle_stage=DELETED, files={"kept.txt": b"kept"})
    made.add("buried", {"loss": curve[:3]}, made.gone, lifecycle_stage=DELETED)
    made.models = held(names)
    return made


def _number() -> str:
    """An id that MLflow gives experiments, and that hardly any place has."""
    return str(10**6 + uuid.uuid4().int % 10**9)
