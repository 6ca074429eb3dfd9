"""Logged models of MLflow 3: what a run trained and logged, with its params, metrics and files."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import changed_fields, changed_files, lacking_entries
from runsync.kinds.kind import EXPERIMENTS, Blob, Key, Kind, Resolve, is_same
from runsync.model import numbers
from runsync.model.identity import own_tags_removed
from runsync.model.run import ArtifactFile, Problem
from runsync.model.selection import RUNS
from runsync.model.wording import many

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange
    from runsync.model.run import Run

PENDING, READY, FAILED = "PENDING", "READY", "FAILED"
STATUSES = (PENDING, READY, FAILED)
ORIGIN = "runsync.source.model_id"
"""The tag with the id that a logged model had where it was made."""
COMPLETE = "runsync.complete"
"""The tag of a copy that is whole: the fingerprint of what it was made from. Written last."""
OF_VERSIONS = "mlflow.modelVersions"
"""The tag in which a server keeps which versions of registered models were made of a logged model."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelMetric:
    """A point that a run logged for a model; `dataset_name` and `dataset_digest` are "" where it names none.

    One with NaN equals another with NaN.
    """

    key: str
    value: float
    timestamp: int
    step: int
    run_id: str
    dataset_name: str = ""
    dataset_digest: str = ""

    @property
    def place(self) -> tuple[str, int, int, str]:
        """A model has one value at each."""
        return (self.key, self.timestamp, self.step, self.run_id)

    @property
    def told(self) -> tuple[Any, ...]:
        """All of it, with the value as a store can hold it."""
        return (*self.place, self.dataset_name, self.dataset_digest, numbers.to_json(numbers.stored(self.value)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelMetric) and self.told == other.told

    def __hash__(self) -> int:
        return hash(self.told)


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """`source_run_id` is the run that logged it, "" for none. `status` is one of STATUSES. Times are in epoch
    milliseconds.

    `metrics` are sorted by their place. `artifacts` is None where files were not asked for, or not listed yet;
    `problems` tell of those that could not be read.
    """

    model_id: str
    experiment_id: str
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    status: str = READY
    status_message: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[ModelMetric, ...] = ()
    artifacts: tuple[ArtifactFile, ...] | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.model_id,)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Those of its files."""
        return tuple(Blob(file.sha256, file.size) for file in self.artifacts or () if file.sha256)

    @property
    def runs(self) -> tuple[str, ...]:
        """The run that logged it."""
        return (self.source_run_id,) if self.source_run_id else ()

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/logged-model.schema.json`."""
        metrics = [{**asdict(metric), "value": numbers.to_json(metric.value)} for metric in self.metrics]
        files = None if self.artifacts is None else [file.to_document() for file in self.artifacts]
        values = {name: getattr(self, name) for name in self.__slots__}
        values |= {"params": dict(self.params), "tags": dict(self.tags)}
        return {**values, "metrics": metrics, "artifacts": files, "problems": [asdict(p) for p in self.problems]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "LoggedModel":
        """The reverse, of a valid document."""
        metrics = (ModelMetric(**{**m, "value": numbers.from_json(m["value"])}) for m in document["metrics"])
        files = document["artifacts"]
        artifacts = None if files is None else tuple(ArtifactFile(**file) for file in files)
        problems = tuple(Problem(**problem) for problem in document["problems"])
        return cls(**{**document, "metrics": tuple(metrics), "artifacts": artifacts, "problems": problems})


_FIELDS = ("name", "model_type", "source_run_id", "status", "status_message", "params")
_TIMES = ("created_at", "updated_at")


class _LoggedModels(Kind[LoggedModel]):
    name = "logged-models"
    noun = "logged model"
    entity = LoggedModel
    has_files = True
    requires = (RUNS,)
    goes_with_experiments = True

    def meant(self, item: LoggedModel, scope: "Scope") -> LoggedModel | None:
        """Those of the experiments, and, where only some runs are meant, those that these made or used."""
        if scope.everything or item.model_id in scope.named(self.name):
            return item
        if not scope.takes_models_of_runs or all(e.experiment_id != item.experiment_id for e in scope.experiments):
            return None
        return item if not scope.is_of_runs or item.source_run_id in scope.run_ids else None

    def linked(self, run: "Run") -> Iterable[str]:
        """As its inputs and outputs."""
        return [link.model_id for link in (*run.model_inputs, *run.model_outputs)]

    def reuse(self, stored: LoggedModel, item: LoggedModel) -> LoggedModel | None:
        """Files of a model that is READY do not change."""
        is_listed = item.artifacts is not None
        same = is_same(replace(item, artifacts=stored.artifacts, problems=stored.problems), stored)
        is_whole = stored.artifacts is not None and not stored.problems and stored.status == READY
        return stored if same and is_whole and not is_listed else None

    def files(self, item: LoggedModel) -> tuple[ArtifactFile, ...]:
        """Below its own root."""
        return item.artifacts or ()

    def problems(self, item: LoggedModel) -> tuple[Problem, ...]:
        """It keeps them."""
        return item.problems

    def with_files(
        self, item: LoggedModel, files: tuple[ArtifactFile, ...], problems: tuple[Problem, ...]
    ) -> LoggedModel:
        """With hashes."""
        return replace(item, artifacts=files, problems=problems)

    def origin(self, item: LoggedModel) -> Key:
        """Told by a tag."""
        return (item.tags.get(ORIGIN, item.model_id),)

    def rewritten(self, item: LoggedModel, resolve: Resolve) -> LoggedModel | None:
        """It goes with its experiment. A run that is not there stays named by its old id."""
        experiment_id = resolve(EXPERIMENTS, item.experiment_id)
        if experiment_id is None:
            return None
        metrics = tuple(
            sorted(
                (replace(m, run_id=resolve(RUNS, m.run_id) or m.run_id) for m in item.metrics), key=lambda m: m.place
            )
        )
        return replace(
            item,
            model_id=resolve(self.name, item.model_id) or item.model_id,
            experiment_id=experiment_id,
            source_run_id=resolve(RUNS, item.source_run_id) or item.source_run_id,
            metrics=metrics,
        )

    def renamed(self, item: LoggedModel, names: Mapping[str, str]) -> LoggedModel:
        """The registry's tag names models that were made of it."""
        try:
            told = json.loads(item.tags.get(OF_VERSIONS, "[]"))
            found = [{**one, "name": names.get(one["name"], one["name"])} for one in told]
        except (ValueError, TypeError, KeyError):
            return item
        return item if found == told else replace(item, tags={**item.tags, OF_VERSIONS: json.dumps(found)})

    def changes(self, old: LoggedModel, new: LoggedModel) -> Iterator["FieldChange"]:
        """Tags of runsync's own and of the registry apart. One that has a new id was made at another time."""
        names = (*_FIELDS, *(_TIMES if old.model_id == new.model_id else ()))
        yield from changed_fields(old, new, names)
        yield from changed_fields(_Tags(plain_tags(old)), _Tags(plain_tags(new)), ("tags",))
        yield from _metric_changes(old, new)
        yield from changed_files(old.artifacts, new.artifacts)

    def lacks(self, wanted: LoggedModel, there: LoggedModel) -> Iterator["FieldChange"]:
        """A workspace may have more tags. One that gave a new id set its own times, and so did one of a model without
        any."""
        is_new = ORIGIN in there.tags or ORIGIN in wanted.tags or wanted.created_at is None
        set_there = _TIMES if is_new else ("updated_at",)
        for change in self.changes(replace(wanted, tags={}), replace(there, tags={})):
            if change.field not in set_there:
                yield change
        yield from lacking_entries("tags", plain_tags(wanted), there.tags)


@dataclass(frozen=True, slots=True)
class _Tags:
    tags: Mapping[str, str]


def plain_tags(item: LoggedModel) -> dict[str, str]:
    """Without those of runsync, and of the registry."""
    return {key: value for key, value in own_tags_removed(item.tags).items() if key != OF_VERSIONS}


def _metric_changes(old: LoggedModel, new: LoggedModel) -> Iterator["FieldChange"]:
    from runsync.model.comparison import FieldChange

    before, after = frozenset(old.metrics), frozenset(new.metrics)
    for key in sorted({metric.key for metric in before | after}):
        lost = sum(metric.key == key for metric in before - after)
        added = sum(metric.key == key for metric in after - before)
        if lost or added:
            yield FieldChange(f"metrics.{key}", many(lost, "other point"), many(added, "other point"))


LOGGED_MODELS = _LoggedModels()
