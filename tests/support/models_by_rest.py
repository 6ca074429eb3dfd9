"""Filling a workspace with models over plain REST, and telling them without the ids that each workspace gives itself,
independently of runsync."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from support.seed import Seeder, tags_of

MODEL = b"flavors:\n  python_function:\n    loader_module: net\n"
ID = re.compile(rb"(m-)?[0-9a-f]{32}")
"""A target may write its own ids into MLmodel files."""
OURS = ("runsync.", "mlflow.modelVersions")


class Filled(NamedTuple):
    """Ids of what was made."""

    runs: list[str]
    models: list[str]


def fill(
    seeder: Seeder, folder: str = "", churn: str = "churn", *, logged: bool = True, aliases: bool = True
) -> Filled:
    """Two runs, with a logged model of each; the registered model “churn” with a gap in its numbers, of which version 3
    is a logged model, and “empty” without versions."""
    experiment_id = seeder.create_experiment(f"{folder}training")
    runs = [seeder.create_run(experiment_id, name) for name in ("first", "second")]
    for run_id, name in zip(runs, ("first", "second"), strict=True):
        seeder.put_artifact(run_id, "net/MLmodel", MODEL)
        seeder.put_artifact(run_id, "net/data/weights.bin", name.encode() * 100)
    models = [_logged(seeder, experiment_id, run_id) for run_id in runs] if logged else []
    if logged:
        seeder.post("runs/log-inputs", run_id=runs[1], models=[{"model_id": models[0]}])
    for run_id in runs:
        seeder.finish(run_id)
    roots = [f"{seeder.get_run(run_id)['info']['artifact_uri']}/net" for run_id in runs]
    seeder.post("registered-models/create", name=churn, description="Who leaves", tags=tags_of({"team": "growth"}))
    of_model = {"source": f"models:/{models[1]}", "model_id": models[1]} if logged else {"source": roots[1]}
    seeder.post("model-versions/create", name=churn, source=roots[0], run_id=runs[0], tags=tags_of({"by": "hand"}))
    seeder.post("model-versions/create", name=churn, source=roots[1], run_id=runs[1])
    seeder.post("model-versions/create", name=churn, run_id=runs[1], **of_model)
    seeder.post("model-versions/create", name=churn, source=roots[1], run_id=runs[1], description="The better one")
    seeder.call("DELETE", "model-versions/delete", {"name": churn, "version": "2"})
    stage = {"stage": "Production", "archive_existing_versions": False}
    seeder.post("model-versions/transition-stage", name=churn, version="4", **stage)
    seeder.post("registered-models/create", name=churn.replace("churn", "empty"))
    for alias, number in (("champion", "4"), ("old", "3")) if aliases else ():
        seeder.post("registered-models/alias", name=churn, alias=alias, version=number)
    return Filled(runs, models)


def _logged(seeder: Seeder, experiment_id: str, run_id: str) -> str:
    made = seeder.post(
        "logged-models",
        experiment_id=experiment_id,
        name="net",
        model_type="net",
        source_run_id=run_id,
        params=tags_of({"depth": "3"}),
        tags=tags_of({"stage": "trial"}),
    )
    info = made["model"]["info"]
    model_id = str(info["model_id"])
    seeder.put_file(info["artifact_uri"], "MLmodel", MODEL + f"model_id: {model_id}\nrun_id: {run_id}\n".encode())
    seeder.put_file(info["artifact_uri"], "data/weights.bin", b"logged" * 100)
    seeder.call("PATCH", f"logged-models/{model_id}", {"model_id": model_id, "status": 2})
    point = {"key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000, "step": 1, "model_id": model_id}
    more = {"dataset_name": "held out", "dataset_digest": "abc"}
    seeder.post("runs/log-batch", run_id=run_id, metrics=[point, {**point, "step": 2, "value": 0.25, **more}])
    seeder.post("runs/outputs", run_id=run_id, models=[{"model_id": model_id, "step": 4}])
    return model_id


def told(seeder: Seeder, bytes_below: Callable[[str], Mapping[str, bytes]]) -> dict[str, Any]:
    """All models of a workspace; `bytes_below` gives the files below an artifact root, by path."""
    ids = [each["experiment_id"] for each in seeder.post("experiments/search", max_results=1000)["experiments"]]
    runs = {run["info"]["run_id"]: run for run in seeder.post("runs/search", experiment_ids=ids).get("runs", [])}
    names = {run_id: run["info"]["run_name"] for run_id, run in runs.items()}
    models = seeder.post("logged-models/search", experiment_ids=ids).get("models", [])
    called = {one["info"]["model_id"]: f"model of {names[one['info']['source_run_id']]}" for one in models}
    roots = {one["info"]["model_id"]: one["info"]["artifact_uri"] for one in models}

    def files(root: str) -> dict[str, bytes]:
        return {path: ID.sub(b"an id", body) for path, body in bytes_below(root).items()}

    def links(run_id: str) -> list[Any]:
        run = seeder.get_run(run_id)
        inputs = [called[each["model_id"]] for each in run.get("inputs", {}).get("model_inputs", [])]
        outputs = run.get("outputs", {}).get("model_outputs", [])
        return [inputs, [[called[each["model_id"]], int(each["step"])] for each in outputs]]

    found: dict[str, Any] = {"links": {names[run_id]: links(run_id) for run_id in runs}, "logged": {}, "versions": {}}
    for model in models:
        info, data = model["info"], model["data"]
        points = [[p["value"], int(p["step"]), p.get("dataset_name", "")] for p in data.get("metrics", [])]
        parts = (_pairs(data.get("params", [])), _pairs(info["tags"]), info["status"], info["model_type"])
        found["logged"][called[info["model_id"]]] = [*parts, sorted(points), files(info["artifact_uri"])]
    every = seeder.call("GET", "registered-models/search").get("registered_models", [])
    asked = ({"filter": f"name='{one['name']}'"} for one in every)
    answers = (seeder.call("GET", "model-versions/search", **one) for one in asked)
    for version in (version for answer in answers for version in answer.get("model_versions", [])):
        source, run_id = version["source"], version.get("run_id", "")
        root = roots[source.removeprefix("models:/")] if source.startswith("models:/m-") else source
        plain = [version.get(name, "") for name in ("description", "current_stage", "status")]
        whole = [names.get(run_id, run_id), *plain, _pairs(version.get("tags", [])), files(root)]
        found["versions"][f"{version['name']}/{version['version']}"] = whole
    found["registered"] = {one["name"]: [one.get("description", ""), _pairs(one.get("tags", []))] for one in every}
    found["aliases"] = sorted([one["name"], *a.values()] for one in every for a in one.get("aliases", []))
    return found


def _pairs(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in tags if not tag["key"].startswith(OURS)}
