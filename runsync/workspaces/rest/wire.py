"""MLflow's JSON as values of the model. Servers leave out empty fields, and send int64 as number or string."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from runsync.errors import WorkspaceUnreachable
from runsync.model import numbers
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.run import DatasetInput, LatestMetric, ModelLink, ModelVersion, Run

Json = Mapping[str, Any]


T = TypeVar("T")


def each(answer: Json, name: str, make: Callable[[Json], T]) -> list[T]:
    """The things an answer lists under a name. Raises WorkspaceUnreachable when they are not as MLflow has them."""
    try:
        return [make(document) for document in answer.get(name, ())]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WorkspaceUnreachable(f"the server's list of {name} is not as MLflow's API has it") from None


def experiment(document: Json) -> Experiment:
    """An experiment of experiments/search or get."""
    return Experiment(
        experiment_id=str(document["experiment_id"]),
        name=document["name"],
        lifecycle_stage=document.get("lifecycle_stage", ACTIVE),
        artifact_location=document.get("artifact_location", ""),
        creation_time=_time(document.get("creation_time")),
        last_update_time=_time(document.get("last_update_time")),
        tags=pairs(document.get("tags", ())),
    )


def run(document: Json) -> Run:
    """A run of runs/search or runs/get."""
    info, data = document["info"], document.get("data", {})
    tags = pairs(data.get("tags", ()))
    inputs, outputs = document.get("inputs", {}), document.get("outputs", {})
    return Run(
        run_id=info.get("run_id") or info["run_uuid"],
        experiment_id=str(info["experiment_id"]),
        name=info.get("run_name") or tags.get("mlflow.runName", ""),
        user_id=info.get("user_id", ""),
        status=info.get("status", "RUNNING"),
        start_time=_time(info.get("start_time")),
        end_time=_time(info.get("end_time")),
        lifecycle_stage=info.get("lifecycle_stage", ACTIVE),
        artifact_uri=info.get("artifact_uri", ""),
        params=pairs(data.get("params", ())),
        tags=tags,
        latest_metrics=tuple(_latest(m) for m in data.get("metrics", ())),
        dataset_inputs=tuple(_dataset(d) for d in inputs.get("dataset_inputs", ())),
        model_inputs=_links(inputs.get("model_inputs", ())),
        model_outputs=_links(outputs.get("model_outputs", ())),
    )


def model_version(document: Json) -> ModelVersion:
    """A version of model-versions/search; the stage “None” is none."""
    stage = document.get("current_stage", "")
    return ModelVersion(document["name"], str(document["version"]), "" if stage == "None" else stage)


def pairs(entries: Iterable[Json]) -> dict[str, str]:
    """`[{"key": …, "value": …}, …]` as a dictionary."""
    return {entry["key"]: entry.get("value", "") for entry in entries}


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


def _time(value: Any) -> int | None:
    return None if value is None else int(value)


def _latest(document: Json) -> LatestMetric:
    return LatestMetric(
        document["key"],
        numbers.from_json(document.get("value", 0.0)),
        int(document.get("timestamp", 0)),
        int(document.get("step", 0)),
    )


def _dataset(document: Json) -> DatasetInput:
    of = document["dataset"]
    return DatasetInput(
        name=of["name"],
        digest=of.get("digest", ""),
        source_type=of.get("source_type", ""),
        source=of.get("source", ""),
        schema=of.get("schema", ""),
        profile=of.get("profile", ""),
        tags=pairs(document.get("tags", ())),
    )


def _links(documents: Iterable[Json]) -> tuple[ModelLink, ...]:
    return tuple(ModelLink(d["model_id"], int(d.get("step", 0))) for d in documents)
