"""MLflow's JSON as values of the model. Servers leave out empty fields, and send int64 as number or string."""

from collections.abc import Callable, Container, Mapping
from functools import wraps
from typing import Any, TypeVar

from runsync.errors import WorkspaceUnreachable
from runsync.model import numbers
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.run import (
    RUNNING,
    UNTOLD,
    DatasetInput,
    LatestMetric,
    ModelLink,
    ModelVersion,
    Problem,
    Run,
    Unreadable,
)
from runsync.workspaces.http.fields import (
    LEAST,
    MOST,
    ODD,
    Json,
    OddAnswer,
    identifier,
    listed,
    number,
    part,
    text,
    without_nulls,
)

STATUSES = frozenset({RUNNING, "SCHEDULED", "FINISHED", "FAILED", "KILLED"})
STAGES = frozenset({ACTIVE, DELETED})
_TEXT = frozenset({str})
ON_THE_SERVER = "on the server"

T = TypeVar("T")


def sound(answer: dict[str, Any], name: str, make: Callable[[Json], T]) -> tuple[list[T], list[tuple[Json, OddAnswer]]]:
    """The things an answer lists under a name, and those that are not as MLflow has them, with what is wrong.

    A null is one of these. Raises WorkspaceUnreachable when it is no list of objects.
    """
    found: list[T] = []
    odd: list[tuple[Json, OddAnswer]] = []
    try:
        for document in listed(without_nulls(answer, name), name):
            try:
                found.append(make(document))
            except OddAnswer as error:
                odd.append((document, error))
    except OddAnswer:
        raise _other_api(name) from None
    return found, odd


def runs(answer: dict[str, Any], make: Callable[[Json], Run]) -> tuple[list[Run], list[Unreadable]]:
    """The runs that an answer lists, and those that are not as MLflow has them: one of these fails by itself.

    Raises WorkspaceUnreachable where there are some, and not even the id of one is told.
    """
    found, odd = sound(answer, "runs", make)
    unreadable = [Unreadable(_id_of_run(document), ON_THE_SERVER, str(error)) for document, error in odd]
    if not found and unreadable and all(one.id == UNTOLD for one in unreadable):
        raise _other_api("runs")
    return found, unreadable


def experiments(
    answer: dict[str, Any], make: Callable[[Json], Experiment]
) -> tuple[list[Experiment], list[Unreadable]]:
    """The same of experiments, and of tags without a key, which fail by themselves as well."""
    unreadable: list[Unreadable] = []

    def without_odd_tags(document: Json) -> Experiment:
        kept, lost = _tags_with_keys(document)
        made = make({**document, "tags": kept} if lost else document)
        if lost:
            unreadable.append(Unreadable.piece(made.experiment_id, ON_THE_SERVER, _NO_KEY, "experiment"))
        return made

    found, odd = sound(answer, "experiments", without_odd_tags)
    for document, error in odd:
        id, name = document.get("experiment_id"), document.get("name")
        known = str(id) if id and isinstance(id, str | int) else ""
        told = known or (f"“{name}”" if name and isinstance(name, str) else UNTOLD)
        unreadable.append(Unreadable(told, ON_THE_SERVER, str(error), "experiment"))
    if not found and unreadable and all(one.id == UNTOLD for one in unreadable):
        raise _other_api("experiments")
    return found, unreadable


_NO_KEY = Problem("tag", UNTOLD, "it has no key")


def _tags_with_keys(document: Json) -> tuple[list[Any], bool]:
    """The tags of an experiment that have a key, and whether there are others."""
    tags = document.get("tags")
    if not isinstance(tags, list):
        return [], False
    kept = [tag for tag in tags if isinstance(tag, dict) and tag.get("key") is not None]
    return kept, len(kept) < len(tags)


def _id_of_run(document: Json) -> str:
    info = document.get("info")
    run_id = info.get("run_id") or info.get("run_uuid") if isinstance(info, dict) else None
    return run_id if isinstance(run_id, str) else UNTOLD


def _other_api(name: str) -> WorkspaceUnreachable:
    return WorkspaceUnreachable(f"unexpected answer from the server: its list of {name} does not follow MLflow's API")


def strict(make: Callable[[Json], T]) -> Callable[[Json], T]:
    """The same, raising OddAnswer for a document of another form."""

    @wraps(make)
    def made(document: Json) -> T:
        try:
            return make(document)
        except ODD as error:
            told = str(error.args[0])[:60] if isinstance(error, KeyError) else "a field"
            raise OddAnswer(told, f"is missing or invalid in a {make.__name__.replace('_', ' ')}") from None

    return made


@strict
def experiment(document: Json) -> Experiment:
    """An experiment of experiments/search or get. Raises OddAnswer."""
    name = text(document, "name")
    if not name:
        raise OddAnswer("name", "is empty")
    return Experiment(
        experiment_id=identifier(document, "experiment_id"),
        name=name,
        lifecycle_stage=one_of(STAGES, document, "lifecycle_stage", ACTIVE),
        artifact_location=text(document, "artifact_location", ""),
        creation_time=moment(document, "creation_time"),
        last_update_time=moment(document, "last_update_time"),
        tags=pairs(document, "tags"),
    )


@strict
def run(document: Json) -> Run:
    """A run of runs/search or runs/get. Raises OddAnswer."""
    info, data = part(document, "info"), part(document, "data")
    tags = pairs(data, "tags")
    inputs, outputs = part(document, "inputs"), part(document, "outputs")
    return Run(
        run_id=text(info, "run_id", "") or identifier(info, "run_uuid"),
        experiment_id=identifier(info, "experiment_id"),
        name=text(info, "run_name", "") or tags.get("mlflow.runName", ""),
        user_id=text(info, "user_id", ""),
        status=one_of(STATUSES, info, "status", RUNNING),
        start_time=moment(info, "start_time"),
        end_time=moment(info, "end_time"),
        lifecycle_stage=one_of(STAGES, info, "lifecycle_stage", ACTIVE),
        artifact_uri=text(info, "artifact_uri", ""),
        params=pairs(data, "params"),
        tags=tags,
        latest_metrics=tuple(map(_latest, listed(data, "metrics"))),
        dataset_inputs=tuple(_dataset(d) for d in listed(inputs, "dataset_inputs")),
        model_inputs=_links(inputs, "model_inputs"),
        model_outputs=_links(outputs, "model_outputs"),
    )


@strict
def model_version(document: Json) -> ModelVersion:
    """A version of model-versions/search; the stage “None” is none. Raises OddAnswer."""
    stage = text(document, "current_stage", "")
    return ModelVersion(text(document, "name"), identifier(document, "version"), "" if stage == "None" else stage)


def pairs(document: Json, name: str) -> dict[str, str]:
    """Its `[{"key": …, "value": …}, …]` as a dictionary. Raises OddAnswer."""
    entries = document.get(name) or ()
    try:
        found = {entry["key"]: "" if (value := entry.get("value")) is None else value for entry in entries}
    except ODD:
        raise OddAnswer(name, "is not a list of keys and values") from None
    if not _TEXT.issuperset(map(type, found)):
        raise OddAnswer(name, "has a key that is not a string")
    if not _TEXT.issuperset(map(type, found.values())):
        key = next(key for key, value in found.items() if type(value) is not str)
        raise OddAnswer(f"{name}.{key}"[:60], "is not a string")
    return found


def entries(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The reverse of `pairs`."""
    return [{"key": key, "value": value} for key, value in values.items()]


def dataset(given: DatasetInput) -> dict[str, Any]:
    """A dataset as runs/log-inputs takes it."""
    optional = {"schema": given.schema, "profile": given.profile}
    return {
        "dataset": {
            "name": given.name,
            "digest": given.digest,
            "source_type": given.source_type,
            "source": given.source,
            **{key: value for key, value in optional.items() if value},
        },
        "tags": entries(given.tags),
    }


def one_of(known: Container[str], document: Json, name: str, default: str) -> str:
    """One of the values that are known. Raises OddAnswer."""
    value = text(document, name, default)
    if value not in known:
        raise OddAnswer(name, f"has the unknown value “{value[:40]}”")
    return value


def moment(document: Json, name: str) -> int | None:
    """A time in epoch milliseconds; None where there is none. Raises OddAnswer."""
    return None if document.get(name) is None else number(document, name)


def _latest(document: Json) -> LatestMetric:
    key, value = document.get("key"), document.get("value", 0.0)
    if type(key) is not str:
        raise OddAnswer("metrics", "has a key that is missing or not a string")
    if value is None:
        raise OddAnswer(f"metrics.{key}"[:60], "has no value")
    try:
        timestamp, step = int(document.get("timestamp") or 0), int(document.get("step") or 0)
        if LEAST <= timestamp <= MOST and LEAST <= step <= MOST:
            return LatestMetric(key, numbers.from_json(value), timestamp, step)
    except ODD:
        pass
    raise OddAnswer(f"metrics.{key}"[:60], "has an invalid point")


def _dataset(document: Json) -> DatasetInput:
    of = part(document, "dataset")
    return DatasetInput(
        name=text(of, "name"),
        digest=text(of, "digest", ""),
        source_type=text(of, "source_type", ""),
        source=text(of, "source", ""),
        schema=text(of, "schema", ""),
        profile=text(of, "profile", ""),
        tags=pairs(document, "tags"),
    )


def _links(document: Json, name: str) -> tuple[ModelLink, ...]:
    return tuple(ModelLink(identifier(d, "model_id"), number(d, "step")) for d in listed(document, name))
