"""MLmodel files on servers: they name the run and the model by the ids that these have there."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
import requests
from conftest import Pair, Runner
from support.seed import Seeder

from runsync.kinds.logged_models import LOGGED_MODELS
from transfer.commands import NEWEST, read, sync, verify

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def log_model(seeder: Seeder, url: str, experiment_id: str, run_id: str, files: Mapping[str, str]) -> str:
    """A logged model whose files name it and its run; gives its id."""
    body = {"experiment_id": experiment_id, "name": "net", "source_run_id": run_id}
    info = seeder.post("logged-models", **body)["model"]["info"]
    root = urlsplit(info["artifact_uri"]).path
    for path, text in files.items():
        content = text.format(run=run_id, model=info["model_id"]).encode()
        requests.put(f"{url}{PROXY}{root}/{path}", content, timeout=60).raise_for_status()
    seeder.call("PATCH", f"logged-models/{info['model_id']}", {"model_id": info["model_id"], "status": 2})
    return str(info["model_id"])


TEXT = "model_id: {model}\nrun_id: {run}\nflavors: {{}}\n"


@NEWEST
@pytest.mark.parametrize("keeps", [False, True], ids=["follow", "keep"])
def test_mlmodel_files_lead_to_the_run_and_the_model_there(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, runsync: Runner, keeps: bool
) -> None:
    home, url = seeder.create_experiment(prefix + "models"), pair.source.url
    run_id = seeder.create_run(home, "one")
    for path in ("plain/MLmodel", "signed/deep/MLmodel", "signed/model.sig"):
        seeder.put_artifact(run_id, path, f"run_id: {run_id}\n".encode())
    model = log_model(seeder, url, home, run_id, {"MLmodel": TEXT, "other.yaml": TEXT})
    signed = log_model(seeder, url, home, run_id, {"MLmodel": TEXT, "model.sig": "{{}}"})
    seeder.finish(run_id)

    asked = (prefix + "*", *(("--keep-mlmodel",) if keeps else ()))
    mapped = sync(runsync, url, pair.target.url, *asked)["id_map"]
    (place,) = mapped["experiments"].values()

    ((there, run),) = read(pair.target.url, prefix + "*").runs.items()
    texts = {path: content.decode() for path, content in run["artifacts"].items()}
    assert texts["signed/deep/MLmodel"] == f"run_id: {run_id}\n"
    assert texts["plain/MLmodel"] == f"run_id: {run_id if keeps else there}\n"
    found = receiver.post("logged-models/search", experiment_ids=[place])["models"]
    assert len(found) == 2
    for info in (each["info"] for each in found):
        (origin,) = (tag["value"] for tag in info["tags"] if tag["key"] == "runsync.source.model_id")
        assert mapped["objects"][LOGGED_MODELS.name][origin] == info["model_id"]
        stays = keeps or origin == signed
        ids = (origin, run_id) if stays else (info["model_id"], there)
        root = pair.target.url + PROXY + urlsplit(info["artifact_uri"]).path
        assert requests.get(f"{root}/MLmodel", timeout=60).text == TEXT.format(model=ids[0], run=ids[1])
        if origin == model:
            assert requests.get(f"{root}/other.yaml", timeout=60).text == TEXT.format(model=model, run=run_id)
    told = verify(runsync, url, pair.target.url, prefix + "*", "--verify-artifacts")
    assert told["differences"] == []
    again = sync(runsync, url, pair.target.url, *asked, "--thorough", "--verify-artifacts")
    # One that may have been changed by an import without the option is sent again.
    assert (again["artifacts"], again["runs"]["failed"]) == (int(keeps), 0)
