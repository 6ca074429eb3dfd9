"""The workloads: what is in the runs, made up the same way each time, as ready request bodies.

A workload is a folder with one `NNNNN.jsonl` a run: the body of runs/create, the bodies of its log-batch calls,
and last its files. `ceiling.py import` sends them as they are: to fill the source server, and as the yardstick of
imports.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

EXPERIMENT = "@experiment@"
RUN = "@run@"
"""What stands in the bodies for the ids that the server gives."""

BLOCK = 1 << 20
SMALLEST_FILE = 4 << 10
LARGEST_FILE = 200 << 10
MOST_ENTRIES = 1000
BEGIN = 1_700_000_000_000
FORMAT = 2
"""Raised when the same sizes come to mean other contents, so that no cached server is taken for this one."""


@dataclass(frozen=True)
class Workload:
    """Runs, and what each of them has; `points` is a key's. The runs are spread over `experiments`."""

    runs: int = 300
    params: int = 20
    metrics: int = 15
    points: int = 100
    files: int = 5
    experiments: int = 3

    @property
    def name(self) -> str:
        """A file name that tells the sizes."""
        return "x".join(map(str, astuple(self))) + f"-v{FORMAT}"

    @property
    def all_points(self) -> int:
        """Points of all runs."""
        return self.runs * self.metrics * self.points

    @property
    def all_bytes(self) -> int:
        """Bytes of all files."""
        return sum(size for run in range(self.runs) for _, _, size in self.files_of(run))

    def experiment_names(self) -> list[str]:
        """The experiments that hold the runs."""
        return [f"benchmark/{number}" for number in range(self.experiments)]

    def experiment_of(self, run: int) -> str:
        """The experiment of a run."""
        return f"benchmark/{run * self.experiments // self.runs}"

    def files_of(self, run: int) -> list[tuple[str, int, int]]:
        """Path, offset in `block()`, and bytes of each file of a run. No two files are the same."""
        chance = random.Random(f"files {run}")
        files = []
        for number in range(self.files):
            size = chance.randint(SMALLEST_FILE, LARGEST_FILE)
            folder = ("model", "plots")[number % 2]
            files.append((f"{folder}/file_{number}.bin", chance.randrange(BLOCK - size), size))
        return files

    def write(self, folder: Path) -> None:
        """Writes the request bodies of all runs."""
        folder.mkdir(parents=True)
        for run in range(self.runs):
            with (folder / f"{run:05}.jsonl").open("w") as lines:
                for document in self._documents(run):
                    lines.write(json.dumps(document, separators=(",", ":")) + "\n")

    def _documents(self, run: int) -> Iterator[dict[str, Any]]:
        name = f"run-{run:05}"
        tags = {"mlflow.runName": name, "mlflow.user": "bench", "mlflow.source.name": "train.py"}
        tags |= {f"label_{number}": f"value {run} {number}" for number in range(5)}
        yield {
            "experiment_id": EXPERIMENT,
            "experiment_name": self.experiment_of(run),
            "user_id": "bench",
            "start_time": BEGIN + run * 60_000,
            "run_name": name,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        yield from self._batches(run)
        yield {"end_time": BEGIN + run * 60_000 + 50_000, "files": self.files_of(run)}

    def _batches(self, run: int) -> Iterator[dict[str, Any]]:
        """Full log-batch calls: params first, then points to the limit."""
        params = [{"key": f"param_{n}", "value": f"{run * 0.001 + n}"} for n in range(self.params)]
        points: list[dict[str, Any]] = []
        for point in self._points(run):
            points.append(point)
            if len(params) + len(points) == MOST_ENTRIES:
                yield {"run_id": RUN, "params": params, "metrics": points}
                params, points = [], []
        if params or points:
            yield {"run_id": RUN, "params": params, "metrics": points}

    def _points(self, run: int) -> Iterator[dict[str, Any]]:
        chance = random.Random(f"points {run}")
        for metric in range(self.metrics):
            for step in range(self.points):
                when = BEGIN + run * 60_000 + step * 400 + chance.randrange(100)
                value = 1 / (step + 1) + chance.gauss(0, 0.01)
                yield {"key": f"metric_{metric:02}", "value": value, "timestamp": when, "step": step}


def block() -> bytes:
    """Bytes that do not compress, from which the files are cut."""
    return random.Random("block").randbytes(BLOCK)
