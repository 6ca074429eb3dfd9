"""Filling Unity Catalog of an emulated workspace as MLflow's client does, and telling what lies in it."""

from typing import Any

from emulators.databricks import Databricks
from emulators.databricks.unity_storage import files_of, put

from support.databricks import DatabricksSeeder
from support.models_by_rest import ID, MODEL
from support.seed import tags_of

UNITY = "unity-catalog"


def fill(workspace: Databricks, name: str = "dev.ml.churn") -> str:
    """A model with versions 1, 3 and 4 (2 was deleted), aliases, and tags; the run that version 4 was made of."""
    workspace.unity.add_schema(name.rpartition(".")[0])
    with DatabricksSeeder(workspace) as seeder:
        experiment_id = seeder.create_experiment("/Users/ana@example.com/train")
        run_id = seeder.create_run(experiment_id, "first")
        seeder.finish(run_id)
        tags = tags_of({"team": "growth"})
        seeder.post(f"{UNITY}/registered-models/create", name=name, description="Who leaves", tags=tags)
        for number in range(1, 5):
            of_run = {"run_id": run_id} if number == 4 else {}
            source = f"runs:/{run_id}/net" if number == 4 else "dbfs:/gone/net"
            seeder.post(f"{UNITY}/model-versions/create", name=name, source=source, tags=tags_of({"n": "x"}), **of_run)
            put(workspace, name, number, "MLmodel", MODEL)
            put(workspace, name, number, "data/a/weights.bin", f"weights {number}".encode() * 50)
            put(workspace, name, number, "data/empty", b"")
            seeder.post(f"{UNITY}/model-versions/finalize", name=name, version=str(number))
        seeder.call("DELETE", f"{UNITY}/model-versions/delete", {"name": name, "version": "2"})
        for alias, number in (("champion", 4), ("old", 1)):
            seeder.post(f"{UNITY}/registered-models/alias", name=name, alias=alias, version=str(number))
    return run_id


def told(workspace: Databricks) -> dict[str, Any]:
    """All models, by name, without what the catalog sets itself and without runsync's tags."""
    found: dict[str, Any] = {}
    for model in workspace.unity.models.values():
        versions = {}
        for number, version in sorted(model.versions.items()):
            files = {path: ID.sub(b"an id", body) for path, body in files_of(workspace, model.name, number).items()}
            versions[number] = [version.description, version.status, _own(version.tags), files]
        found[model.name] = [model.description, _own(model.tags), dict(model.aliases), versions, model.last]
    return found


def _own(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith("runsync_kept__runsync__2e__")}
