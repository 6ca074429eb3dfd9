"""The bare loop of the HTTP calls that the promotion of one model needs.

`promote_ceiling.py fill URL FILES,BYTES`     a run with a logged model, registered as churn, alias candidate
`promote_ceiling.py promote URL TARGET`       that model into another server: every file down to a disk, up, and read
                                                back, a version, and the alias champion

Nothing is compared but the hashes, and nothing tried again.
"""

import hashlib
import itertools
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

from ceiling import API, PROXY, THREADS, Json, Server

MODEL = "churn"
ML_MODEL = b"flavors:\n  python_function:\n    loader_module: none\n"


class Model:
    """A run, and what it logged; `root` is where the server serves its files."""

    def __init__(self, server: Server) -> None:
        self._server = server
        experiment = server.post("/experiments/create", {"name": "train"})["experiment_id"]
        run = server.post("/runs/create", {"experiment_id": experiment, "start_time": 1_790_000_000_000})
        self._run: str = run["run"]["info"]["run_id"]
        made = server.post("/logged-models", {"experiment_id": experiment, "name": "net", "source_run_id": self._run})
        self._id: str = made["model"]["info"]["model_id"]
        self._root = PROXY + quote(urlsplit(made["model"]["info"]["artifact_uri"]).path)

    def put(self, path: str, content: bytes) -> None:
        """One file."""
        self._server.call("PUT", f"{self._root}/{quote(path)}", content)

    def get(self, path: str) -> bytes:
        """The same."""
        return self._server.call("GET", f"{self._root}/{quote(path)}")

    def register(self) -> None:
        """It is READY, and the first version of churn."""
        ready = json.dumps({"model_id": self._id, "status": 2}).encode()
        self._server.call("PATCH", f"{API}/logged-models/{self._id}", ready)
        links = {"run_id": self._run, "models": [{"model_id": self._id, "step": 0}]}
        self._server.post("/runs/outputs", links)
        ended = {"run_id": self._run, "status": "FINISHED", "end_time": 1_790_000_100_000}
        self._server.post("/runs/update", ended)
        self._server.post("/registered-models/create", {"name": MODEL})
        body = {"name": MODEL, "source": f"models:/{self._id}", "run_id": self._run, "model_id": self._id}
        self._server.post("/model-versions/create", body)

    def name(self, alias: str) -> None:
        """An alias of it."""
        self._server.post("/registered-models/alias", {"name": MODEL, "alias": alias, "version": "1"})


def fill(server: Server, files: int, size: int) -> None:
    """Of random bytes."""
    model = Model(server)
    model.put("MLmodel", ML_MODEL)
    for number in range(files - 1):
        model.put(f"data/part{number:04}.bin", os.urandom(size))
    model.register()
    model.name("candidate")


def promote(source: Server, target: Server, folder: Path) -> None:
    """The candidate."""
    version = _get(source, f"registered-models/alias?name={MODEL}&alias=candidate")["model_version"]
    told = _get(source, f"model-versions/get-download-uri?name={MODEL}&version={version['version']}")
    root = PROXY + quote(urlsplit(_location(source, told["artifact_uri"])).path)
    model, paths, numbers = Model(target), list(_list(source, root.removeprefix(PROXY + "/"), "")), itertools.count()

    def carry(path: str) -> tuple[str, str]:
        content = source.call("GET", f"{root}/{quote(path)}")
        (folder / str(next(numbers))).write_bytes(content)
        model.put(path, content)
        return path, hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        hashes = list(pool.map(carry, paths))
        model.register()
        there = pool.map(lambda one: (one[0], hashlib.sha256(model.get(one[0])).hexdigest()), hashes)
        assert list(there) == hashes
    model.name("champion")


def _location(server: Server, uri: str) -> str:
    if not uri.startswith("models:/"):
        return uri
    model_id = uri.removeprefix("models:/").partition("/")[0]
    location: str = _get(server, f"logged-models/{model_id}")["model"]["info"]["artifact_uri"]
    return location


def _list(server: Server, root: str, folder: str) -> list[str]:
    place = f"{PROXY}?path={root}{folder and '/'}{quote(folder)}"
    found: list[str] = []
    for file in json.loads(server.call("GET", place)).get("files", []):
        path = f"{folder}{folder and '/'}{file['path']}"
        found += _list(server, root, path) if file["is_dir"] else [path]
    return found


def _get(server: Server, path: str) -> Json:
    document: Json = json.loads(server.call("GET", f"{API}/{path}"))
    return document


def main(action: str, url: str, further: str) -> None:
    """One of the two."""
    server = Server(url)
    if action == "fill":
        files, size = map(int, further.split(","))
        fill(server, files, size)
        print(json.dumps({"requests": server.requests}))
        return
    target = Server(further)
    with TemporaryDirectory() as folder:
        promote(server, target, Path(folder))
    print(json.dumps({"requests": server.requests + target.requests}))


if __name__ == "__main__":
    main(*sys.argv[1:])
