"""A workspace that has one of everything that tends to get lost."""

import json
import math
import random
from dataclasses import dataclass, field
from functools import cache

from support.seed import Point, Seeder

START = 1_700_000_000_000
"""Epoch milliseconds of the first run's start; ends on digits, so that a time in seconds would show."""

BIG = 3 * 1024 * 1024
MODEL = "model/MLmodel"

ARTIFACTS = {
    "top.txt": b"at the top\n",
    "empty.bin": b"",
    "deep/er/still/down.json": b'{"depth": 3}\n',
    "with space/a file.txt": b"spaces\n",
    "100%.txt": b"percent\n",
    "f\u00fcr.txt": "\u00fcml\u00e4ut\n".encode(),
    "\u65e5\u672c.txt": "\u65e5\u672c\u8a9e\n".encode(),
    "a&b=c.txt": b"query\n",
    "plus+semi;comma,.txt": b"more\n",
}


@dataclass
class Facts:
    """What was made: ids by label, and totals of what a whole copy holds."""

    prefix: str
    experiments: dict[str, str] = field(default_factory=dict)
    """Experiment ids by name."""
    runs: dict[str, str] = field(default_factory=dict)
    """Run ids by label."""
    deleted_runs: set[str] = field(default_factory=set)
    """Labels of the runs whose lifecycle stage is deleted."""
    points: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0

    @property
    def pattern(self) -> str:
        """A glob for the names of these experiments."""
        return self.prefix + "*"


def rich_workspace(seeder: Seeder, prefix: str, *, longest_param: int = 6000, inputs: bool = True) -> Facts:
    """Makes it: 21 runs in 5 experiments whose names begin with `prefix`.

    MLflow 1 takes params of 500 characters and has no inputs.
    """
    maker = _Maker(seeder, Facts(prefix), longest_param, inputs)
    maker.main()
    maker.family()
    maker.deleted_experiment()
    maker.experiment("empty", {})
    return maker.facts


def small_workspace(seeder: Seeder, prefix: str) -> Facts:
    """Makes 7 runs in 2 experiments, of most kinds: for tests of what is done with runs, not of what is in them.

    Making, reading and writing it takes a quarter of what `rich_workspace` takes.
    """
    maker = _Maker(seeder, Facts(prefix), 0, inputs=True)
    maker.few()
    maker.deleted_experiment()
    return maker.facts


def files_workspace(seeder: Seeder, prefix: str) -> Facts:
    """Makes one run, with artifacts of every kind: for tests of artifacts alone."""
    maker = _Maker(seeder, Facts(prefix), 0, inputs=False)
    maker.artifacts(maker.experiment("main", {}))
    return maker.facts


@cache
def big_content(size: int = BIG) -> bytes:
    """Bytes that do not compress and are the same every time."""
    return random.Random(1).randbytes(size)


class _Maker:
    def __init__(self, seeder: Seeder, facts: Facts, longest_param: int, inputs: bool) -> None:
        self.seeder = seeder
        self.facts = facts
        self.longest_param = longest_param
        self.inputs = inputs

    def experiment(self, name: str, tags: dict[str, str]) -> str:
        experiment_id = self.seeder.create_experiment(self.facts.prefix + name, tags)
        self.facts.experiments[self.facts.prefix + name] = experiment_id
        return experiment_id

    def run(
        self,
        experiment_id: str,
        label: str,
        *,
        start_time: int = START,
        tags: dict[str, str] | None = None,
        user: str = "ada",
    ) -> str:
        run_id = self.seeder.create_run(experiment_id, label, start_time=start_time, tags=tags, user_id=user)
        self.facts.runs[label] = run_id
        return run_id

    def points(self, run_id: str, points: list[Point]) -> None:
        self.seeder.log_batch(run_id, metrics=points)
        self.facts.points += len(set(points))

    def artifact(self, run_id: str, path: str, content: bytes) -> None:
        self.seeder.put_artifact(run_id, path, content)
        self.facts.artifacts += 1
        self.facts.artifact_bytes += len(content)

    def delete(self, label: str) -> None:
        self.seeder.delete_run(self.facts.runs[label])
        self.facts.deleted_runs.add(label)

    def main(self) -> None:
        """Runs of every status, and all kinds of params, tags, metrics, inputs and artifacts."""
        note = 'An experiment.\n\n**Notes** with \u00fcml\u00e4uts, \u65e5\u672c and a "quote".'
        tags = {"mlflow.note.content": note, "team": "vision", "empty": ""}
        main = self.experiment("main", tags)
        for offset, status in enumerate(("FINISHED", "FAILED", "KILLED")):
            run_id = self.run(main, status.lower(), start_time=START + 1001 * offset)
            self.points(run_id, [("loss", 0.25 * offset, START + 7, 1)])
            self.seeder.finish(run_id, status, START + 90_017 + offset)
        self.run(main, "running", start_time=START + 4003, tags={"no": "end time"})
        self._described(main)
        self._params(main)
        self._metrics(main)
        if self.inputs:
            self._inputs(main)
        self.artifacts(main)
        self._model(main)
        self._deleted(main)

    def few(self) -> None:
        """A run that still runs, one with contents of most kinds, a parent and its child, and a deleted run."""
        main = self.experiment("main", {"team": "vision"})
        running = self.run(main, "running", start_time=START + 4003, tags={"no": "end time"})
        self.seeder.log_dataset(running, "iris", "abc12345", tags={"mlflow.data.context": "training"})
        self.artifact(running, "with space/100% f\u00fcr.txt", b"odd\n")
        root = self.run(main, "parent", start_time=START + 500_000)
        self.seeder.finish(root)
        self._child(main, "child", root, root, START + 400_000)
        self._model(main)
        self._deleted(main)

    def family(self) -> None:
        """Three generations, a child that started before its parent, one elsewhere, and deleted ones."""
        home = self.experiment("family", {})
        root = self.run(home, "parent", start_time=START + 500_000)
        self.seeder.set_tag(root, "mlflow.rootRunId", root)
        # Children sort before their parents when runs are read by start time.
        child = self._child(home, "child", root, root, START + 400_000)
        self._child(home, "grandchild", child, root, START + 300_000)
        elsewhere = self.experiment("elsewhere", {"mlflow.note.content": "children of the family"})
        self._child(elsewhere, "child elsewhere", root, root, START + 350_000)
        gone = self.run(home, "deleted parent", start_time=START + 600_000)
        self._child(home, "deleted child", gone, gone, START + 590_000)
        self._child(home, "orphan", gone, gone, START + 610_000)
        for label in ("deleted child", "deleted parent"):
            self.delete(label)

    def deleted_experiment(self) -> None:
        """A deleted experiment, with a run that went with it and one that had been deleted before."""
        experiment_id = self.experiment("deleted", {"why": "no longer wanted"})
        before = self.run(experiment_id, "deleted before")
        with_it = self.run(experiment_id, "deleted with its experiment", start_time=START + 5)
        self.points(with_it, [("loss", 2.0, START, 0)])
        self.artifact(with_it, "kept/too.txt", b"of a deleted experiment\n")
        self.seeder.finish(with_it)
        self.seeder.finish(before, "FAILED")
        self.delete("deleted before")
        self.seeder.delete_experiment(experiment_id)
        self.facts.deleted_runs.add("deleted with its experiment")

    def _child(self, experiment_id: str, label: str, parent: str, root: str, start_time: int) -> str:
        tags = {"mlflow.parentRunId": parent, "mlflow.rootRunId": root}
        run_id = self.run(experiment_id, label, start_time=start_time, tags=tags)
        self.points(run_id, [("loss", start_time / 1e12, start_time, 0)])
        self.seeder.finish(run_id, end_time=start_time + 11)
        return run_id

    def _described(self, experiment_id: str) -> None:
        tags = {
            "mlflow.note.content": "# Notes\n\nline two\ttabbed, \u00fc, \u65e5\u672c, \U0001f680",
            "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
            "mlflow.source.name": "/home/ada/train model.py",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.branch": "feature/x",
            "mlflow.user": "ada",
            "key with space/and.dots-and_more": "v",
            "tag \u00fc \u65e5\u672c": "unicode key",
            "empty": "",
            "long": "t" * 5000,
        }
        name = '\u540d\u524d \u00fcber \U0001f680 "quoted" 100%'
        run_id = self.run(experiment_id, name, start_time=START + 5009, tags=tags, user="z\u00f6e")
        self.seeder.finish(run_id, end_time=START + 5010)

    def _params(self, experiment_id: str) -> None:
        params = {f"param.{number:03}": str(number) for number in range(247)}
        params |= {
            "empty": "",
            "long": "p" * (self.longest_param - 1) + "\u00fc",
            "dir/key with space-\u00fc": "line\nbreak \u65e5",
        }
        run_id = self.run(experiment_id, "params", start_time=START + 6007)
        self.seeder.log_batch(run_id, params=params)
        self.seeder.finish(run_id)

    def _metrics(self, experiment_id: str) -> None:
        run_id = self.run(experiment_id, "metrics", start_time=START + 7013)
        odd: list[Point] = [
            ("odd", math.nan, START, 0),
            ("odd", math.inf, START + 1, 1),
            ("odd", -math.inf, START + 2, 2),
            ("odd", -1e-300, START + 3, -5),
            ("odd", 0.1 + 0.2, START + 4, 2**53 + 1),
            ("same step", 1.0, START, 3),
            ("same step", 2.0, START + 1, 3),
            ("same step", 1.0, START + 2, 3),
            ("same time", 1.0, START, 1),
            ("same time", 1.0, START, 2),
            ("same time", 3.0, START, 2),
            ("only nan", math.nan, START, 0),
            ("val/acc/top 1", 0.5, START, 0),
            ("m\u00e9trique \u65e5\u672c", 0.75, START, 0),
            ("late", 9.0, START, 9),
            ("late", 1.0, START + 50, 1),
        ]
        self.points(run_id, odd)
        many = [(f"train/key {n % 3}", n / 7, START + n * 13, n // 3) for n in range(250)]
        self.points(run_id, many)
        self.seeder.finish(run_id)

    def _inputs(self, experiment_id: str) -> None:
        run_id = self.run(experiment_id, "inputs", start_time=START + 8017)
        context = {"mlflow.data.context": "training", "split": "80%"}
        self.seeder.log_dataset(
            run_id,
            "iris \u00fc",
            "abc12345",
            source=json.dumps({"uri": "s3://bucket/iris.csv"}),
            schema=json.dumps({"mlflow_colspec": [{"type": "double", "name": "x"}]}),
            profile=json.dumps({"num_rows": 150}),
            tags=context,
        )
        self.seeder.log_dataset(run_id, "bare", "d" * 36, tags={"mlflow.data.context": "eval"})
        self.seeder.log_dataset(run_id, "untagged", "0")
        self.seeder.finish(run_id)
        other = self.run(experiment_id, "inputs again", start_time=START + 8018)
        self.seeder.log_dataset(other, "bare", "d" * 36, tags={"mlflow.data.context": "testing"})
        self.seeder.finish(other)

    def artifacts(self, experiment_id: str) -> None:
        run_id = self.run(experiment_id, "artifacts", start_time=START + 9001)
        for path, content in ARTIFACTS.items():
            self.artifact(run_id, path, content)
        self.artifact(run_id, "big/three megabytes.bin", big_content())
        self.seeder.finish(run_id)

    def _model(self, experiment_id: str) -> None:
        run_id = self.run(experiment_id, "model", start_time=START + 10_007)
        flavors = {"python_function": {"loader_module": "mlflow.sklearn"}}
        history = [{"run_id": run_id, "artifact_path": "model", "flavors": flavors, "model_uuid": "f" * 32}]
        self.seeder.set_tag(run_id, "mlflow.log-model.history", json.dumps(history))
        text = f"artifact_path: model\nflavors:\n  python_function: {{}}\nrun_id: {run_id}\nmodel_uuid: f\n"
        self.artifact(run_id, MODEL, text.encode())
        self.artifact(run_id, "model/model.pkl", b"\x80\x04N.")
        self.seeder.finish(run_id)

    def _deleted(self, experiment_id: str) -> None:
        gone = self.run(experiment_id, "deleted", tags={"kept": "yes"})
        self.points(gone, [("loss", 1.5, START, 0), ("loss", 1.25, START + 1, 1)])
        self.seeder.log_batch(gone, params={"lr": "0.1"})
        self.artifact(gone, "gone.txt", b"still here\n")
        self.seeder.finish(gone)
        self.delete("deleted")
