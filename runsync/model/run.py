"""A run and what hangs off it, as every workspace and bundle knows it. Times are epoch milliseconds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from runsync.errors import RequestRefused
from runsync.model import numbers
from runsync.model.experiment import ACTIVE

RUNNING = "RUNNING"


class LatestMetric(NamedTuple):
    """The point of a metric that search pages show: the greatest (step, timestamp, value).

    A workspace has more of them than of anything else, and no dataclass is made as fast.
    """

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset that a run read, with the tags of that use ("mlflow.data.context": "training")."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelLink:
    """A logged model that a run read or wrote, at a step."""

    model_id: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a registered model that was made of a run."""

    name: str
    version: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All that can be said of a run without its metric history and artifacts.

    `deleted_time` is when a deleted run was deleted; None where the source does not tell, as over REST.
    """

    run_id: str
    experiment_id: str
    name: str = ""
    user_id: str = ""
    status: str = RUNNING
    start_time: int | None = None
    end_time: int | None = None
    lifecycle_stage: str = ACTIVE
    deleted_time: int | None = None
    artifact_uri: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    latest_metrics: tuple[LatestMetric, ...] = ()
    dataset_inputs: tuple[DatasetInput, ...] = ()
    model_inputs: tuple[ModelLink, ...] = ()
    model_outputs: tuple[ModelLink, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The run part of the JSON document of `schemas/v1/run.schema.json`."""
        return {
            "run_id": self.run_id,
            "experiment_id": self.experiment_id,
            "name": self.name,
            "user_id": self.user_id,
            "status": self.status,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "lifecycle_stage": self.lifecycle_stage,
            "deleted_time": self.deleted_time,
            "artifact_uri": self.artifact_uri,
            "params": dict(self.params),
            "tags": dict(self.tags),
            "latest_metrics": [
                {"key": m.key, "value": numbers.to_json(m.value), "timestamp": m.timestamp, "step": m.step}
                for m in self.latest_metrics
            ],
            "dataset_inputs": [asdict(d) for d in self.dataset_inputs],
            "model_inputs": [asdict(m) for m in self.model_inputs],
            "model_outputs": [asdict(m) for m in self.model_outputs],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Run":
        """The reverse of `to_document`, of a document that is valid; further properties are passed over."""
        values = {name: document[name] for name in cls.__slots__ if name != "deleted_time"}
        values["deleted_time"] = document.get("deleted_time")  # the first bundles did not tell it
        values["latest_metrics"] = tuple(
            LatestMetric(m["key"], numbers.from_json(m["value"]), m["timestamp"], m["step"])
            for m in document["latest_metrics"]
        )
        values["dataset_inputs"] = tuple(DatasetInput(**d) for d in document["dataset_inputs"])
        values["model_inputs"] = tuple(ModelLink(**m) for m in document["model_inputs"])
        values["model_outputs"] = tuple(ModelLink(**m) for m in document["model_outputs"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One artifact: its path below the run's artifact root, bytes, and SHA-256 (hex) where it is known.

    `fault` tells why it cannot be read for its name; then `path` is what it is called in reports.
    """

    path: str
    size: int
    sha256: str | None = None
    fault: str = ""

    def check(self) -> None:
        """Raises RequestRefused where it cannot be read for its name."""
        if self.fault:
            raise RequestRefused(f"artifact “{self.path}”: {self.fault}")

    def to_document(self) -> dict[str, Any]:
        """The JSON document of what it is, whether it can be read or not."""
        return {"path": self.path, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of a run that could not be carried: what kind of thing, which one, why."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds of a run beside the run itself. `artifacts` is None where they were not asked for; `growing`
    are paths of those that had more bytes when they were read."""

    metric_points: int
    artifacts: tuple[ArtifactFile, ...] | None
    problems: tuple[Problem, ...] = ()
    growing: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The other part of the JSON document of `schemas/v1/run.schema.json`."""
        growing = {"growing": list(self.growing)} if self.growing else {}
        return {
            **growing,
            "metric_points": self.metric_points,
            "artifacts": None if self.artifacts is None else [a.to_document() for a in self.artifacts],
            "problems": [asdict(p) for p in self.problems],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Contents":
        """The reverse of `to_document`, of a document that is valid; further properties are passed over."""
        artifacts = document["artifacts"]
        return cls(
            document["metric_points"],
            None if artifacts is None else tuple(ArtifactFile(**a) for a in artifacts),
            tuple(Problem(**p) for p in document["problems"]),
            tuple(document.get("growing", ())),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs that are carried together: plain data, so that any executor can take it.

    `contents` is told by sources that know it beforehand (a snapshot), by run id. `unreadable` are runs and
    experiments that the source met and cannot read: there is nothing of them to carry but their names. `broken` tells,
    by run id, which pieces of runs it cannot read: the runs are without them.
    """

    runs: tuple[Run, ...]
    contents: Mapping[str, Contents] = field(default_factory=dict)
    unreadable: tuple["Unreadable", ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)

    @property
    def pieces(self) -> tuple["Unreadable", ...]:
        """The broken pieces as what cannot be read."""
        broken = ((run, problem) for run in self.runs for problem in self.broken.get(run.run_id, ()))
        return tuple(Unreadable.piece(run.run_id, run.name, problem, "run") for run, problem in broken)


PART = "part of runs"
"""The kind of what is unreadable where a part of a bundle is damaged."""
UNTOLD = "?"
"""The id of what cannot be read where not even its id is told."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A run or an experiment that cannot be read: its id, as far as the source tells it, where it lies, and why not.

    `kind` is “run” or “experiment”, or “tag of experiment” and the like for a piece of what can be read else, or
    `PART`."""

    id: str
    place: str
    reason: str
    kind: str = "run"

    @property
    def is_piece(self) -> bool:
        """Whether all else of what it belongs to can be read."""
        return " of " in self.kind and self.kind != PART

    @classmethod
    def piece(cls, id: str, place: str, problem: Problem, whole: str) -> "Unreadable":
        """A broken piece of what can else be read, which is a run or an experiment."""
        return cls(id, place, f"“{problem.name}”: {problem.reason}", f"{problem.kind} of {whole}")
