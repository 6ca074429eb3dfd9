"""The bare loop of the HTTP calls that logged models and a registry need: what any client would have to send.

`models_ceiling.py import URL SHAPE`         runs, logged models with metrics and files, versions, aliases
`models_ceiling.py export URL FOLDER`        search pages, lists of files, files; answers to disk as they are

SHAPE is MODELS,VERSIONS,FILES,METRICS: each version is a logged model of its own. As in `ceiling.py` nothing is checked
or tried again.
"""

import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

from ceiling import API, PROXY, THREADS, Json, Server

AJAX = "/ajax-api/2.0/mlflow"
FILE_BYTES = 10_000
MODELS_A_RUN = 10


class Import:
    """One bare import."""

    def __init__(self, server: Server, shape: tuple[int, int, int, int]) -> None:
        self._server = server
        self._models, self._versions, self._files, self._metrics = shape

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Runs first, then what they logged, then the registry."""
        self._experiment = self._server.post("/experiments/create", {"name": "models"})["experiment_id"]
        count = self._models * self._versions
        runs = list(pool.map(self._run, range(-(-count // MODELS_A_RUN))))
        logged = list(pool.map(lambda number: self._logged(number, runs[number // MODELS_A_RUN]), range(count)))
        of_runs = [logged[start : start + MODELS_A_RUN] for start in range(0, count, MODELS_A_RUN)]
        list(pool.map(self._finish, runs, of_runs))
        list(pool.map(lambda number: self._register(number, logged, runs), range(self._models)))

    def _run(self, number: int) -> str:
        body = {"experiment_id": self._experiment, "start_time": 1_790_000_000_000 + number, "run_name": f"r{number}"}
        run_id: str = self._server.post("/runs/create", body)["run"]["info"]["run_id"]
        return run_id

    def _logged(self, number: int, run_id: str) -> str:
        body = {
            "experiment_id": self._experiment,
            "name": f"net{number}",
            "source_run_id": run_id,
            "params": [{"key": f"p{i}", "value": str(i)} for i in range(5)],
            "tags": [{"key": "t", "value": "1"}],
        }
        info = self._server.post("/logged-models", body)["model"]["info"]
        root = urlsplit(info["artifact_uri"]).path
        for file in range(self._files):
            content = f"{number} {file} ".encode().ljust(FILE_BYTES, b"x")
            self._server.call("PUT", f"{PROXY}{quote(root)}/file{file}.bin", content)
        model_id: str = info["model_id"]
        points = [
            {"key": f"m{i}", "value": i + 0.5, "timestamp": 1_790_000_000_000, "step": 0, "model_id": model_id}
            for i in range(self._metrics)
        ]
        self._server.post("/runs/log-batch", {"run_id": run_id, "metrics": points})
        ready = {"model_id": model_id, "status": 2}
        self._server.call("PATCH", f"{API}/logged-models/{model_id}", json.dumps(ready).encode())
        return model_id

    def _finish(self, run_id: str, models: list[str]) -> None:
        links = [{"model_id": model_id, "step": 0} for model_id in models]
        self._server.post("/runs/outputs", {"run_id": run_id, "models": links})
        self._server.post("/runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 1_790_000_100_000})

    def _register(self, number: int, logged: list[str], runs: list[str]) -> None:
        name = f"model{number}"
        self._server.post("/registered-models/create", {"name": name})
        for version in range(self._versions):
            which = number * self._versions + version
            body = {"name": name, "source": f"models:/{logged[which]}", "run_id": runs[which // MODELS_A_RUN]}
            self._server.post("/model-versions/create", body | {"model_id": logged[which]})
        alias = {"name": name, "alias": "champion", "version": str(self._versions)}
        self._server.post("/registered-models/alias", alias)


class Export:
    """One bare export."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._names = itertools.count()

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Every list, then the files of every logged model and the inputs and files of every run."""
        found = self._server.post("/experiments/search", {"max_results": 1000})
        ids = [experiment["experiment_id"] for experiment in found["experiments"]]
        runs = self._pages("/runs/search", {"experiment_ids": ids, "max_results": 1000}, "runs")
        models = self._pages("/logged-models/search", {"experiment_ids": ids, "max_results": 1000}, "models")
        for path in ("registered-models/search?max_results=1000", "model-versions/search?max_results=10000"):
            self._keep(self._server.call("GET", f"{API}/{path}"))
        list(pool.map(self._run, [run["info"]["run_id"] for run in runs]))
        list(pool.map(self._files, [model["info"]["model_id"] for model in models]))

    def _pages(self, path: str, body: Json, name: str) -> list[Json]:
        found: list[Json] = []
        while True:
            answer = self._server.post(path, body)
            self._keep(json.dumps(answer).encode())
            found += answer.get(name, [])
            if not answer.get("next_page_token"):
                return found
            body = body | {"page_token": answer["next_page_token"]}

    def _run(self, run_id: str) -> None:
        self._keep(self._server.call("GET", f"{API}/runs/get?run_id={run_id}"))
        self._keep(self._server.call("GET", f"{API}/artifacts/list?run_id={run_id}"))

    def _files(self, model_id: str) -> None:
        place = f"{API}/logged-models/{model_id}/artifacts/directories"
        for file in json.loads(self._server.call("GET", place)).get("files", []):
            path = quote(file["path"])
            address = f"{AJAX}/logged-models/{model_id}/artifacts/files?artifact_file_path={path}"
            self._keep(self._server.call("GET", address))

    def _keep(self, content: bytes) -> None:
        (self._folder / str(next(self._names))).write_bytes(content)


def main(action: str, url: str, further: str) -> None:
    """One of the two."""
    server = Server(url)
    with ThreadPoolExecutor(THREADS) as pool:
        if action == "import":
            models, versions, files, metrics = map(int, further.split(","))
            Import(server, (models, versions, files, metrics)).start(pool)
        else:
            folder = Path(further)
            folder.mkdir(parents=True)
            Export(server, folder).start(pool)
    print(json.dumps({"requests": server.requests}))


if __name__ == "__main__":
    main(*sys.argv[1:])
