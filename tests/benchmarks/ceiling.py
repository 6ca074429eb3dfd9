"""The bare loop of the necessary HTTP calls: what any client would have to send, and nothing else.

`ceiling.py export URL FOLDER`  search pages, metric histories, artifact lists, files; answers to disk as they are
`ceiling.py import URL BODIES`  create, log-batch, files, update and one tag for each run of a workload
`ceiling.py warm URL`           a few harmless requests, so that no command pays for a server's first ones

No retries, no checks of what arrives, no hashes, no fsync. It is a process of its own, so that the start of Python
counts equally, with as many threads as runsync has by default. Prints how many requests it sent, as JSON.
"""

import http.client
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from workload import EXPERIMENT, RUN, block

THREADS = 8
API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
BULK_RUNS = 100
BULK_ROWS = 25_000
HISTORY_PAGE = 50_000
IDLE_SECONDS = 2.0
"""A server may close a connection that was not used for longer (uvicorn: 5 s)."""
JSON = {"Content-Type": "application/json"}

Json = dict[str, Any]


class Connection(http.client.HTTPConnection):
    """Acknowledges at once: without that the default server's answers are 40 ms late."""

    def getresponse(self) -> http.client.HTTPResponse:
        """As the base class."""
        if hasattr(socket, "TCP_QUICKACK"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().getresponse()


class Server:
    """Requests to one server, one kept-alive connection a thread."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._local = threading.local()
        self._count = itertools.count()

    @property
    def requests(self) -> int:
        """How many were sent (reading counts as one more)."""
        return next(self._count)

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a successful answer."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(
                self._address.hostname or "", self._address.port, timeout=300
            )
        elif time.monotonic() - self._local.used > IDLE_SECONDS:
            connection.close()  # the next request opens it again
        next(self._count)
        connection.request(method, self._address.path + path, body, JSON if body else {})
        answer = connection.getresponse()
        content = answer.read()
        self._local.used = time.monotonic()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def post(self, path: str, body: Json) -> Json:
        """A POST of a document, answered by one."""
        document: Json = json.loads(self.call("POST", API + path, json.dumps(body).encode()))
        return document


class Tasks:
    """Work in a pool, where work may give more work; `finish` waits for all and raises what failed."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._all: list[Future[None]] = []

    def add(self, work: Callable[..., None], *arguments: object) -> None:
        """Has it done."""
        self._all.append(self._pool.submit(work, *arguments))

    def finish(self) -> None:
        """Returns when nothing is left to do."""
        for number in itertools.count():
            if number == len(self._all):
                return
            self._all[number].result()


class Export:
    """One bare export."""

    def __init__(self, server: Server, folder: Path, tasks: Tasks) -> None:
        self._server = server
        self._folder = folder
        self._tasks = tasks
        self._names = itertools.count()

    def start(self) -> None:
        """Asks for the runs, and has all that belongs to them read."""
        found = self._server.post("/experiments/search", {"max_results": 1000, "view_type": "ALL"})
        ids = [experiment["experiment_id"] for experiment in found["experiments"]]
        search: Json = {"experiment_ids": ids, "run_view_type": "ALL", "max_results": 1000}
        search["order_by"] = ["attributes.start_time ASC"]
        while True:
            page = self._server.call("POST", f"{API}/runs/search", json.dumps(search).encode())
            self._keep(page)
            answer = json.loads(page)
            runs = answer.get("runs", [])
            self._metrics(runs)
            for run in runs:
                root = urlsplit(run["info"]["artifact_uri"]).path
                self._tasks.add(self._list, run["info"]["run_id"], root, "")
            if not answer.get("next_page_token"):
                return
            search["page_token"] = answer["next_page_token"]

    def _metrics(self, runs: Iterable[Json]) -> None:
        """Each key of as many runs at once as the server answers for in whole."""
        by_key: dict[str, list[tuple[str, int]]] = {}
        for run in runs:
            for metric in run["data"].get("metrics", []):
                rows = int(metric.get("step", 0)) + 1
                by_key.setdefault(metric["key"], []).append((run["info"]["run_id"], rows))
        for key, members in by_key.items():
            chunk: list[str] = []
            room = BULK_ROWS
            for run_id, rows in members:
                if rows >= BULK_ROWS:
                    self._tasks.add(self._pages, run_id, key)
                    continue
                if len(chunk) == BULK_RUNS or rows >= room:
                    self._tasks.add(self._bulk, key, chunk)
                    chunk, room = [], BULK_ROWS
                chunk.append(run_id)
                room -= rows
            if chunk:
                self._tasks.add(self._bulk, key, chunk)

    def _bulk(self, key: str, run_ids: list[str]) -> None:
        asked = {"run_id": run_ids, "metric_key": key, "max_results": BULK_ROWS}
        self._keep(self._server.call("GET", f"{BULK}?{urlencode(asked, doseq=True)}"))

    def _pages(self, run_id: str, key: str) -> None:
        asked = {"run_id": run_id, "metric_key": key, "max_results": HISTORY_PAGE}
        while True:
            page = self._server.call("GET", f"{API}/metrics/get-history?{urlencode(asked)}")
            self._keep(page)
            # The token stands at the end: parsing a page is not the server's part of the time.
            _, found, token = page[-200:].rpartition(b'"next_page_token": "')
            if not found:
                return
            asked["page_token"] = token.partition(b'"')[0].decode()

    def _list(self, run_id: str, root: str, folder: str) -> None:
        asked = {"run_id": run_id, "path": folder} if folder else {"run_id": run_id}
        answer = self._server.call("GET", f"{API}/artifacts/list?{urlencode(asked)}")
        for entry in json.loads(answer).get("files", []):
            if entry["is_dir"]:
                self._tasks.add(self._list, run_id, root, entry["path"])
            else:
                self._tasks.add(self._file, f"{root}/{entry['path']}")

    def _file(self, path: str) -> None:
        self._keep(self._server.call("GET", PROXY + quote(path)))

    def _keep(self, content: bytes) -> None:
        (self._folder / str(next(self._names))).write_bytes(content)


class Import:
    """One bare import."""

    def __init__(self, server: Server, tasks: Tasks, ids: dict[str, str]) -> None:
        self._server = server
        self._tasks = tasks
        self._ids = ids
        self._block = block()
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()

    def run(self, bodies: Path) -> None:
        """Makes one run; its batches and files go into the queue."""
        first, *batches, last = bodies.read_bytes().splitlines()
        experiment = json.loads(first)["experiment_name"]
        create = first.replace(EXPERIMENT.encode(), self._ids[experiment].encode(), 1)
        info = json.loads(self._server.call("POST", f"{API}/runs/create", create))["run"]["info"]
        run_id, root = info["run_id"], PROXY + urlsplit(info["artifact_uri"]).path
        told = json.loads(last)
        self._left[run_id] = len(batches) + len(told["files"])
        for batch in batches:
            self._tasks.add(self._batch, run_id, batch, told["end_time"])
        for path, offset, size in told["files"]:
            content = self._block[offset : offset + size]
            self._tasks.add(self._file, run_id, f"{root}/{path}", content, told["end_time"])

    def _batch(self, run_id: str, body: bytes, end_time: int) -> None:
        self._server.call("POST", f"{API}/runs/log-batch", body.replace(RUN.encode(), run_id.encode(), 1))
        self._one_less(run_id, end_time)

    def _file(self, run_id: str, url: str, content: bytes, end_time: int) -> None:
        self._server.call("PUT", url, content)
        self._one_less(run_id, end_time)

    def _one_less(self, run_id: str, end_time: int) -> None:
        with self._lock:
            self._left[run_id] -= 1
            done = not self._left[run_id]
        if done:
            self._server.post("/runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": end_time})
            self._server.post("/runs/set-tag", {"run_id": run_id, "key": "whole", "value": "yes"})


def export(server: Server, pool: ThreadPoolExecutor, folder: Path) -> None:
    """Reads everything."""
    folder.mkdir(parents=True)
    tasks = Tasks(pool)
    Export(server, folder, tasks).start()
    tasks.finish()


def import_(server: Server, pool: ThreadPoolExecutor, bodies: Path) -> None:
    """Writes a workload's runs."""
    files = sorted(bodies.iterdir())
    names = sorted({json.loads(file.open().readline())["experiment_name"] for file in files})
    ids = {name: server.post("/experiments/create", {"name": name})["experiment_id"] for name in names}
    tasks = Tasks(pool)
    one = Import(server, tasks, ids)
    for file in files:
        tasks.add(one.run, file)
    tasks.finish()


def warm(server: Server, pool: ThreadPoolExecutor) -> None:
    """Reads a little, often enough that each worker of the server has done it."""

    def look(_: int) -> None:
        server.post("/experiments/search", {"max_results": 10})
        server.post("/runs/search", {"experiment_ids": ["0"], "max_results": 10})
        server.call("GET", f"{BULK}?run_id=none&metric_key=none&max_results=10")

    list(pool.map(look, range(5 * THREADS)))


def main(verb: str, url: str, folder: str = "") -> None:
    """Runs one yardstick."""
    server = Server(url)
    with ThreadPoolExecutor(THREADS) as pool:
        if verb == "export":
            export(server, pool, Path(folder))
        elif verb == "import":
            import_(server, pool, Path(folder))
        else:
            warm(server, pool)
    print(json.dumps({"requests": server.requests}))


if __name__ == "__main__":
    main(*sys.argv[1:])
