"""The bare loop of the HTTP calls that traces need: what any client would have to send.

`traces_ceiling.py import URL SHAPE`         spans by OTLP, a hundred traces a request; then the info of each trace
`traces_ceiling.py export URL FOLDER`        search pages, spans for a hundred traces a request; answers to disk

SHAPE is TRACES,SPANS: each trace has so many spans. As in `ceiling.py` nothing is checked or tried again.
"""

import http.client
import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ceiling import THREADS, Json, Server

from runsync.kinds.spans import Span
from runsync.workspaces import otlp

API3 = "/api/3.0/mlflow"
TOGETHER = 100
PAGE = 500
BEGIN = 1_790_000_000_000
"""Epoch milliseconds."""


def spans_of(number: int, count: int) -> list[Span]:
    """A root and its children, as a traced call of an agent leaves them."""
    start = (BEGIN + number) * 1_000_000
    trace_id, root = f"{number + 1:032x}", f"{(number + 1) * 1000:016x}"
    return [
        Span(
            span_id=f"{(number + 1) * 1000 + n:016x}",
            otel_trace_id=trace_id,
            name=f"step {n}",
            parent_id=root if n else "",
            start=start + n * 1000,
            end=start + n * 1000 + 900,
            status="OK",
            attributes={
                "mlflow.spanType": "TOOL" if n else "AGENT",
                "mlflow.spanInputs": {"question": f"what is {number} and {n}? " * 8},
                "mlflow.spanOutputs": {"answer": f"it is {number + n}. " * 8},
                "model": "m",
            },
        )
        for n in range(count)
    ]


def info_of(number: int, experiment_id: str) -> Json:
    """What is told of a trace beside its spans."""
    return {
        "trace_id": f"tr-{number + 1:032x}",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}},
        "request_time": "2026-09-21T14:13:20Z",
        "execution_duration": "0.100s",
        "state": "OK",
        "request_preview": f"what is {number}?",
        "trace_metadata": {"mlflow.trace.session": f"s{number // 10}"},
        "tags": {"mlflow.traceName": "agent"},
    }


class Import:
    """One bare import."""

    def __init__(self, server: Server, url: str, count: int, spans: int) -> None:
        self._server = server
        self._address = urlsplit(url)
        self._count, self._spans = count, spans
        self.requests = 0

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Spans first, then infos."""
        self._experiment: str = self._server.post("/experiments/create", {"name": "traced"})["experiment_id"]
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=300)
        headers = {"Content-Type": otlp.CONTENT_TYPE, "x-mlflow-experiment-id": self._experiment}
        numbers = iter(range(self._count))
        while some := list(islice(numbers, TOGETHER)):
            body = otlp.request(span for number in some for span in spans_of(number, self._spans))
            connection.request("POST", "/v1/traces", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, content
            connection.close()  # the server does so while infos are sent
            self.requests += 1
            list(pool.map(self._info, some))

    def _info(self, number: int) -> None:
        body = {"trace": {"trace_info": info_of(number, self._experiment)}}
        self._server.call("POST", f"{API3}/traces", json.dumps(body).encode())


class Export:
    """One bare export."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._names = itertools.count()

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Pages of infos one after the other, the spans of each page side by side."""
        found = self._server.post("/experiments/search", {"max_results": 1000})
        ids = [experiment["experiment_id"] for experiment in found["experiments"]]
        places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}} for id in ids]
        body: Json = {"locations": places, "max_results": PAGE}
        while True:
            content = self._server.call("POST", f"{API3}/traces/search", json.dumps(body).encode())
            self._keep(content)
            answer = json.loads(content)
            ids = [trace["trace_id"] for trace in answer.get("traces", [])]
            list(pool.map(self._spans, [ids[begin : begin + TOGETHER] for begin in range(0, len(ids), TOGETHER)]))
            if not answer.get("next_page_token"):
                return
            body["page_token"] = answer["next_page_token"]

    def _spans(self, trace_ids: list[str]) -> None:
        query = urlencode([("trace_ids", id) for id in trace_ids])
        self._keep(self._server.call("GET", f"{API3}/traces/batchGet?{query}"))

    def _keep(self, content: bytes) -> None:
        (self._folder / str(next(self._names))).write_bytes(content)


def main(action: str, url: str, further: str) -> None:
    """One of the two."""
    server = Server(url)
    others = 0
    with ThreadPoolExecutor(THREADS) as pool:
        if action == "import":
            count, spans = map(int, further.split(","))
            made = Import(server, url, count, spans)
            made.start(pool)
            others = made.requests
        else:
            folder = Path(further)
            folder.mkdir(parents=True)
            Export(server, folder).start(pool)
    print(json.dumps({"requests": server.requests + others}))


if __name__ == "__main__":
    main(*sys.argv[1:])
