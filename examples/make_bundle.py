"""Makes `examples/bundle`: fills a fresh MLflow server with a small workspace and exports it.

    mlflow server --port 5000
    python examples/make_bundle.py http://localhost:5000 examples/bundle

The server's own ids and creation times are new each time; all else stays the same.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

import runsync

START = 1_790_000_000_000
MINUTE = 60_000
ROC = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><path d="M0 40L5 9L40 0" fill="none"/></svg>\n'
MLMODEL = "artifact_path: model\nflavors:\n  python_function:\n    loader_module: churn.model\nrun_id: {run_id}\n"

Point = tuple[str, float | str, int]


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    report = make_bundle(sys.argv[1], Path(sys.argv[2]))
    print(f"{report.runs.created} runs in {sys.argv[2]}, snapshot {report.snapshot}")
    return report.exit_code


def make_bundle(server: str, folder: Path, prefix: str = "") -> runsync.TransferReport:
    """Seeds `server`, which must not have these experiments yet, and exports it into `folder`, which must not exist."""
    if folder.exists():
        raise SystemExit(f"{folder} is there already: remove it first")
    names = (prefix + "churn", prefix + "prices")
    with Workspace(server) as workspace:
        fill_churn(workspace, names[0])
        fill_prices(workspace, names[1])
    return runsync.export(server, folder, selection=runsync.Selection(experiments=names))


def fill_churn(workspace: "Workspace", name: str) -> None:
    """A parent run with a child, a point that is no number, and a file that both runs have."""
    experiment = workspace.experiment(name, {"mlflow.note.content": "Who leaves, and why", "team": "growth"})
    parent = workspace.run(experiment, "sweep", "ana", START, {"mlflow.note.content": "How strongly to regularise?"})
    workspace.log(parent, {"models": "1"}, [("best auc", 0.81, 0)])
    workspace.upload(parent, "plots/roc.svg", ROC)
    child = workspace.run(experiment, "C=0.5", "ana", START + MINUTE, {"mlflow.parentRunId": parent})
    losses: list[Point] = [("loss", value, step) for step, value in enumerate((0.69, 0.52, 0.44, 0.41))]
    odd: list[Point] = [("auc", 0.81, 3), ("gain", "NaN", -1)]
    workspace.log(child, {"C": "0.5", "penalty": "l2"}, [*losses, *odd])
    workspace.read(child, "customers", "5f0c1a", {"mlflow.data.context": "training"})
    workspace.upload(child, "plots/roc.svg", ROC)
    workspace.upload(child, "model/MLmodel", MLMODEL.format(run_id=child).encode())
    workspace.end(child, "FINISHED", START + 2 * MINUTE)
    workspace.end(parent, "FINISHED", START + 3 * MINUTE)


def fill_prices(workspace: "Workspace", name: str) -> None:
    """A run that still runs, and one that was deleted."""
    experiment = workspace.experiment(name, {})
    running = workspace.run(experiment, "nightly", "ben", START + 4 * MINUTE, {})
    workspace.log(running, {"horizon": "7d"}, [("mape", 0.11, 0), ("mape", 0.09, 1)])
    deleted = workspace.run(experiment, "wrong data", "ben", START + 5 * MINUTE, {})
    workspace.log(deleted, {"horizon": "30d"}, [("mape", 3.5, 0)])
    workspace.end(deleted, "FAILED", START + 6 * MINUTE)
    workspace.call("runs/delete", {"run_id": deleted})


class Workspace:
    """As much of MLflow's REST API as it takes to fill a server."""

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._roots: dict[str, str] = {}

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.close()

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._session.post(f"{self._server}/api/2.0/mlflow/{path}", json=body, timeout=60)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    def experiment(self, name: str, tags: Mapping[str, str]) -> str:
        return str(self.call("experiments/create", {"name": name, "tags": _pairs(tags)})["experiment_id"])

    def run(self, experiment: str, name: str, user: str, start: int, tags: Mapping[str, str]) -> str:
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "user_id": user,
            "start_time": start,
            "tags": _pairs({"mlflow.user": user, **tags}),
        }
        info = self.call("runs/create", body)["run"]["info"]
        self._roots[info["run_id"]] = info["artifact_uri"].removeprefix("mlflow-artifacts:").strip("/")
        return str(info["run_id"])

    def log(self, run_id: str, params: Mapping[str, str], points: Sequence[Point]) -> None:
        metrics = [{"key": k, "value": v, "timestamp": START + MINUTE + s, "step": s} for k, v, s in points]
        self.call("runs/log-batch", {"run_id": run_id, "params": _pairs(params), "metrics": metrics})

    def read(self, run_id: str, name: str, digest: str, tags: Mapping[str, str]) -> None:
        dataset = {"name": name, "digest": digest, "source_type": "local", "source": '{"uri": "customers.csv"}'}
        self.call("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset, "tags": _pairs(tags)}]})

    def upload(self, run_id: str, path: str, content: bytes) -> None:
        url = f"{self._server}/api/2.0/mlflow-artifacts/artifacts/{self._roots[run_id]}/{path}"
        self._session.put(url, data=content, timeout=60).raise_for_status()

    def end(self, run_id: str, status: str, end: int) -> None:
        self.call("runs/update", {"run_id": run_id, "status": status, "end_time": end})


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


if __name__ == "__main__":
    sys.exit(main())
