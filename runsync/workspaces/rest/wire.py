"""MLflow's JSON as values of the model. Servers leave out empty fields, and send int64 as number or string."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from runsync.errors import WorkspaceUnreachable
from runsync.model import numbers
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.run import RUNNING, UNTOLD, DatasetInput, LatestMetric, ModelLink, ModelVersion, Run, Unreadable
from runsync.workspaces.http.fields import LEAST, MOST, ODD, Json, OddAnswer, identifier, listed, number, part, text

STATUSES = frozenset({RUNNING, "SCHEDULED", "FINISHED", "FAILED", "KILLED"})
STAGES = frozenset({ACTIVE, DELETED})
_TEXT = frozenset({str})
ON_THE_SERVER = "on the server"

T = TypeVar("T")


def sound(answer: Json, name: str, make: Callable[[Json], T]) -> tuple[list[T], list[tuple[Json, OddAnswer]]]:
    """The things an answer lists under a name, and those that are not as MLflow has them, with what is wrong.

    Raises WorkspaceUnreachable when it is no list of objects.
    """
    found: list[T] = []
    odd: list[tuple[Json, OddAnswer]] = []
    try:
        for document in listed(answer, name):
            try:
                found.append(make(document))
            except OddAnswer as error:
                odd.append((document, error))
    except OddAnswer:
        raise _other_api(name) from None
    return found, odd


def runs(answer: Json, make: Callable[[Json], Run]) -> tuple[list[Run], list[Unreadable]]:
    """The runs that an answer lists, and those that are not as MLflow has them: one of these fails by itself.

    Raises WorkspaceUnreachable where there are some, and not even the id of one is told.
    """
    found, odd = sound(answer, "runs", make)
    unreadable = [Unreadable(_id_of_run(document), ON_THE_SERVER, str(error)) for document, error in odd]
    if not found and unreadable and all(one.id == UNTOLD for one in unreadable):
        raise _other_api("runs")
    return found, unreadable


def experiments(answer: Json, make: Callable[[Json], Experiment]) -> tuple[list[Experiment], list[Unreadable]]:
    """The same of experiments."""
    found, odd = sound(answer, "experiments", make)
    unreadable = []
    for document, error in odd:
        id, name = document.get("experiment_id"), document.get("name")
        known = str(id) if id and isinstance(id, str | int) else ""
        told = known or (f"“{name}”" if name and isinstance(name, str) else UNTOLD)
        unreadable.append(Unreadable(told, ON_THE_SERVER, str(error), "experiment"))
    if not found and unreadable and all(one.id == UNTOLD for one in unreadable):
        raise _other_api("experiments")
    return found, unreadable


def _id_of_run(document: Json) -> str:
    info = document.get("info")
    run_id = info.get("run_id") or info.get("run_uuid") if isinstance(info, dict) else None
    return run_id if isinstance(run_id, str) else UNTOLD


def _other_api(name: str) -> WorkspaceUnreachable:
    return WorkspaceUnreachable(f"unexpected answer from the server: its list of {name} does not follow MLflow's API")


def _strict(make: Callable[[Json], T]) -> Callable[[Json], T]:
    """The same, raising OddAnswer for a document of another form."""

    @wraps(make)
    def made(document: Json) -> T:
        try:
            return make(document)
        except ODD as error:
            told = error.args[0] if isinstance(error, KeyError) else type(error).__name__
            raise OddAnswer(str(told)[:60], f"is missing or invalid in a {make.__name__.replace('_', ' ')}") from None

    return made


@_strict
def experiment(document: Json) -> Experiment:
    """An experiment of experiments/search or get. Raises OddAnswer."""
    name = text(document, "name")
    if not name:
        raise OddAnswer("name", "is empty")
    return Experiment(
        experiment_id=identifier(document, "experiment_id"),
        name=name,
        lifecycle_stage=_one_of(STAGES, document, "lifecycle_stage", ACTIVE),
        artifact_location=text(document, "artifact_location", ""),
        creation_time=_time(document, "creation_time"),
        last_update_time=_time(document, "last_update_time"),
        tags=pairs(document.get("tags")),
    )


@_strict
def run(document: Json) -> Run:
    """A run of runs/search or runs/get. Raises OddAnswer."""
    info, data = part(document, "info"), part(document, "data")
    tags = pairs(data.get("tags"))
    inputs, outputs = part(document, "inputs"), part(document, "outputs")
    return Run(
        run_id=text(info, "run_id", "") or identifier(info, "run_uuid"),
        experiment_id=identifier(info, "experiment_id"),
        name=text(info, "run_name", "") or tags.get("mlflow.runName", ""),
        user_id=text(info, "user_id", ""),
        status=_one_of(STATUSES, info, "status", RUNNING),
        start_time=_time(info, "start_time"),
        end_time=_time(info, "end_time"),
        lifecycle_stage=_one_of(STAGES, info, "lifecycle_stage", ACTIVE),
        artifact_uri=text(info, "artifact_uri", ""),
        params=pairs(data.get("params")),
        tags=tags,
        latest_metrics=tuple(map(_latest, data.get("metrics") or ())),
        dataset_inputs=tuple(_dataset(d) for d in listed(inputs, "dataset_inputs")),
        model_inputs=_links(inputs, "model_inputs"),
        model_outputs=_links(outputs, "model_outputs"),
    )


@_strict
def model_version(document: Json) -> ModelVersion:
    """A version of model-versions/search; the stage “None” is none. Raises OddAnswer."""
    stage = text(document, "current_stage", "")
    return ModelVersion(text(document, "name"), identifier(document, "version"), "" if stage == "None" else stage)


def pairs(entries: Any) -> dict[str, str]:
    """`[{"key": …, "value": …}, …]` as a dictionary. Raises OddAnswer, and what `_strict` takes for it."""
    found = {entry["key"]: "" if (value := entry.get("value")) is None else value for entry in entries or ()}
    if not _TEXT.issuperset(map(type, found)) or not _TEXT.issuperset(map(type, found.values())):
        raise OddAnswer("key or value", "is not a string")
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


def _one_of(known: frozenset[str], document: Json, name: str, default: str) -> str:
    value = text(document, name, default)
    if value not in known:
        raise OddAnswer(name, f"has the unknown value “{value[:40]}”")
    return value


def _time(document: Json, name: str) -> int | None:
    return None if document.get(name) is None else number(document, name)


def _latest(document: Json) -> LatestMetric:
    key, timestamp, step = document["key"], int(document.get("timestamp") or 0), int(document.get("step") or 0)
    if type(key) is not str or not (LEAST <= timestamp <= MOST and LEAST <= step <= MOST):
        raise OddAnswer("metrics", "has an invalid point")
    return LatestMetric(key, numbers.from_json(document.get("value", 0.0)), timestamp, step)


def _dataset(document: Json) -> DatasetInput:
    of = part(document, "dataset")
    return DatasetInput(
        name=text(of, "name"),
        digest=text(of, "digest", ""),
        source_type=text(of, "source_type", ""),
        source=text(of, "source", ""),
        schema=text(of, "schema", ""),
        profile=text(of, "profile", ""),
        tags=pairs(document.get("tags")),
    )


def _links(document: Json, name: str) -> tuple[ModelLink, ...]:
    return tuple(ModelLink(identifier(d, "model_id"), number(d, "step")) for d in listed(document, name))
