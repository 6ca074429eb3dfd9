"""Looking at runs of real servers: the order is ours, the requests are few, a run never comes twice."""

import itertools
import json
import math
import os
from pathlib import Path

import pytest
from conftest import Fleet, Runner
from support.proxy import FaultProxy
from support.seed import Seeder
from support.servers import MlflowServer
from transfer.database import START, Database

import runsync
from runsync.model.ordering import ordered
from runsync.model.selection import Selection
from runsync.runs.listing import orders
from runsync.workspaces.rest.order import order_by

VALUES = [0.5, -1.0, math.nan, None, math.inf, -math.inf, 0.0, 0.5, 1e-300, None, math.nan]


class Seeded:
    """A server with an experiment of odd runs; `names` are its experiments."""

    def __init__(self, server: MlflowServer) -> None:
        self.server = server
        with Seeder(server.url) as seeder:
            self.name = f"odd {server.port}"
            self.id = seeder.create_experiment(self.name, {"mlflow.note.content": "what it is for"})
            other = seeder.create_experiment(f"other {server.port}")
            for number, value in enumerate(VALUES):
                home = other if number % 4 == 3 else self.id
                start = 0 if number == 5 else START + number // 2
                run_id = seeder.create_run(home, f"run {number}", start_time=start)
                metrics = [] if value is None else [("a ü/b", value, START, 0)]
                seeder.log_batch(run_id, metrics=metrics, params={"n": str(number)})
                if number % 3:
                    seeder.finish(run_id, end_time=START + 1000 * (number % 4))
            self.homes = (self.name, f"other {server.port}")


@pytest.fixture(scope="module", params=["mlflow3_a", "mlflow2_a"])
def seeded(request: pytest.FixtureRequest, fleet: Fleet) -> Seeded:
    return Seeded(fleet.get(request.param))


ORDERS = [
    (),
    ("start_time",),
    ("start_time DESC", "start_time ASC"),
    ("end_time DESC",),
    ("end_time",),
    ("metrics.`a ü/b`",),
    ("metrics.`a ü/b` DESC", "end_time"),
    ("metrics.nowhere DESC",),
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_the_server_sorts_as_we_do(seeded: Seeded, order: tuple[str, ...]) -> None:
    selection = Selection(seeded.homes)
    everything = runsync.list_runs(seeded.server.url, selection=selection)
    assert order_by(orders(order)) is not None
    wanted = [run.run_id for run in ordered(everything.runs, orders(order))]
    assert len(wanted) == len(VALUES)
    for limit in (None, 1, len(VALUES) - 1):
        found = runsync.list_runs(seeded.server.url, selection=selection, order_by=order, limit=limit)
        assert [run.run_id for run in found.runs] == wanted[:limit]


def test_text_is_sorted_by_us(seeded: Seeded) -> None:
    found = runsync.list_runs(seeded.server.url, selection=Selection(seeded.homes), order_by=("params.n DESC",))
    values = [run.params["n"] for run in found.runs]
    assert values == sorted(values, reverse=True)


def test_the_newest_few_of_one_experiment_cost_one_search_of_so_many(seeded: Seeded) -> None:
    with FaultProxy(seeded.server.url) as proxy:
        report = runsync.list_runs(proxy.url, selection=Selection((seeded.name,)), limit=2)
        assert len(report.runs) == 2
        assert proxy.count("runs/search") == 1


def test_a_run_that_is_not_there_is_told(seeded: Seeded) -> None:
    with pytest.raises(runsync.RunsyncError, match="there is no run 00000000"):
        runsync.list_runs(seeded.server.url, selection=Selection(runs=("0" * 32,)))


def test_experiments_of_a_server_are_counted_on_request_only(seeded: Seeded, runsync_json: "Json") -> None:
    plain = runsync_json("experiments", "list", seeded.server.url, "--experiment", seeded.name)
    assert [e["runs"] for e in plain["experiments"]] == [None]
    counted = runsync_json("experiments", "list", seeded.server.url, "--experiment", seeded.name, "--counts")
    assert [e["runs"] for e in counted["experiments"]] == [9]
    shown = runsync_json("experiments", "show", seeded.server.url, seeded.name)
    assert sum(shown["run_counts"]["active"].values()) == 9
    assert shown["experiment"]["tags"]["mlflow.note.content"] == "what it is for"


class Json:
    """Runs a command for its JSON report."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __call__(self, *arguments: object) -> dict:  # type: ignore[type-arg]
        done = self._runner(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        document: dict = json.loads(done.stdout)  # type: ignore[type-arg]
        return document


@pytest.fixture
def runsync_json(runsync: Runner) -> Json:
    return Json(runsync)


@pytest.fixture(params=["mlflow3_a", pytest.param("mlflow2_a", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, fleet: Fleet) -> MlflowServer:
    return fleet.get(request.param)


def test_a_run_is_shown_with_all_that_hangs_off_it(
    server: MlflowServer, prefix: str, runsync: Runner, runsync_json: Json, tmp_path: Path
) -> None:
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment(prefix + "x")
        tags = {"mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL", "mlflow.source.git.commit": "abc"}
        parent = seeder.create_run(home, "parent")
        run_id = seeder.create_run(home, "the run", tags={**tags, "mlflow.parentRunId": parent, "bad": "a\x1b[31mb"})
        child = seeder.create_run(home, "child", tags={"mlflow.parentRunId": run_id})
        steps = [("loss", 1 / (step + 1), START + step, step) for step in range(100)]
        seeder.log_batch(
            run_id, metrics=[*steps, ("odd", math.nan, START, 0)], params={"lr": "0.1", "long": "x " * 300}
        )
        seeder.set_tag(run_id, "mlflow.note.content", "first line\nsecond line")
        seeder.log_dataset(run_id, "iris", "d1", tags={"mlflow.data.context": "training"})
        seeder.put_artifact(run_id, "model/MLmodel", b"flavors: {}\n")
        seeder.put_artifact(run_id, "model/data/weights.bin", bytes(5000))
        seeder.put_artifact(run_id, "notes.txt", b"hello")
        seeder.post("registered-models/create", name=prefix + "m")
        source = f"{seeder.get_run(run_id)['info']['artifact_uri']}/model"
        seeder.post("model-versions/create", name=prefix + "m", source=source, run_id=run_id)
        seeder.finish(run_id)
    shown = runsync_json("runs", "show", server.url, run_id[:12])
    loss = next(metric for metric in shown["metrics"] if metric["key"] == "loss")
    assert (loss["last"], loss["lowest"], loss["highest"], loss["points"]) == (0.01, 0.01, 1.0, 100)
    assert (loss["first_step"], loss["last_step"], len(loss["trend"])) == (0, 99, 40)
    assert [m["lowest"] for m in shown["metrics"] if m["key"] == "odd"] == [None]
    assert shown["source"]["commit"] == "abc"
    assert shown["parent"]["run_id"] == parent
    assert [c["run_id"] for c in shown["children"]] == [child]
    assert shown["model_versions"] == [{"name": prefix + "m", "version": "1", "stage": ""}]
    assert [f["path"] for f in shown["artifacts"]] == ["model/MLmodel", "model/data/weights.bin", "notes.txt"]
    text = runsync("runs", "show", server.url, run_id).stdout
    with Seeder(server.url) as seeder:
        seeder.call("DELETE", "registered-models/delete", {"name": prefix + "m"})
    for told in (
        "train.py",
        "  second line",
        "dataset iris (digest d1, training, local)",
        "a\\x1b[31mb",
        "5.0 kB",
        "█",
    ):
        assert told in text
    assert "\x1b" not in text

    fetched = runsync_json("artifacts", "get", server.url, run_id, "--into", "out")
    assert {f["action"] for f in fetched["files"]} == {"fetched"}
    (tmp_path / "out/notes.txt").write_bytes(b"short")
    (tmp_path / "out/model/MLmodel").unlink()
    weights = tmp_path / "out/model/data/weights.bin"
    _change(weights, b"x" + bytes(4999))
    again = runsync_json("artifacts", "get", server.url, run_id, "--into", "out")
    assert [f["action"] for f in again["files"]] == ["fetched", "kept", "fetched"]
    verified = runsync_json("artifacts", "get", server.url, run_id, "--into", "out", "--verify")
    assert [f["action"] for f in verified["files"]] == ["kept", "fetched", "kept"]
    assert weights.read_bytes() == bytes(5000)
    weights.touch()
    again = runsync_json("artifacts", "get", server.url, run_id, "model/data", "--into", "out")
    assert [f["action"] for f in again["files"]] == ["fetched"], "a file of that size may be another's"
    only = runsync("artifacts", "get", server.url, run_id, "model", "--into", "part", "--dry-run")
    assert only.returncode == 0
    assert not (tmp_path / "part").exists()
    assert runsync("artifacts", "get", server.url, run_id, "notes.txt", "--into", "-").stdout == "hello"
    listed = runsync("artifacts", "list", server.url, run_id, "model").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["path", "model/MLmodel", "model/data/weights.bin"]
    assert "nothing at “no”" in runsync("artifacts", "list", server.url, run_id, "no").stderr


def test_thousands_of_runs_list_in_a_search_a_thousand(server: MlflowServer, prefix: str, tmp_path: Path) -> None:
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment(prefix + "many")
    database = Database(server)
    names = itertools.chain(((f"r{n}", START + n) for n in range(1990)), ((f"same {n}", START - 1) for n in range(10)))
    with database._open() as opened:
        opened.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
            " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (printf('%032x', ? * 1000000 + ?), ?, 'UNKNOWN', '', '', 'ada', 'FINISHED', ?, ?,"
            " '', 'active', '', ?)",
            [(server.port, n, name, start, start + 5, home) for n, (name, start) in enumerate(names)],
        )
    with FaultProxy(server.url) as proxy:
        selection = Selection((prefix + "many",))
        report = runsync.list_runs(proxy.url, selection=selection)
        assert proxy.count("runs/search") <= 4  # and one for what comes after all that have a start time
        assert len({run.run_id for run in report.runs}) == len(report.runs) == 2000
        starts = [run.start_time or 0 for run in report.runs]
        assert starts == sorted(starts, reverse=True)
        before = proxy.count("runs/search")
        some = runsync.list_runs(proxy.url, selection=selection, order_by=("end_time",), limit=30)
        assert proxy.count("runs/search") == before + 1
        assert [run.name for run in some.runs[:10]] != []
    table = report.to_arrow()
    assert table.num_rows == 2000
    with (tmp_path / "runs.csv").open("wb") as file:
        written = runsync.write_runs_csv(file, server.url, selection=selection)
    assert (written.runs, written.columns) == (2000, 6)


@pytest.mark.parametrize("order", [(), ("start_time",), ("metrics.m DESC",)], ids=str)
def test_a_run_never_comes_twice_though_others_are_made_meanwhile(
    server: MlflowServer, prefix: str, order: tuple[str, ...]
) -> None:
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment(prefix + "x")

        def add(number: int) -> str:
            run_id = seeder.create_run(home, start_time=START + number // 2)
            seeder.log_batch(run_id, metrics=[("m", float(number), START, 0)])
            return run_id

        there = {add(number) for number in range(9)}
        selection = Selection((prefix + "x",))
        with runsync.open_runs(server.url, selection=selection, order_by=order, limit=100) as listing:
            listing.source._page = 2  # type: ignore[attr-defined]
            found = []
            for number, run in enumerate(listing.runs):
                found.append(run.run_id)
                if number % 3 == 0 and number < 9:
                    there_after = add(100 + number)
                    assert there_after not in there
        assert len(set(found)) == len(found)
        assert there <= set(found)


def _change(file: Path, content: bytes) -> None:
    """Keeps the time of the file."""
    time = file.stat().st_mtime_ns
    file.write_bytes(content)
    os.utime(file, ns=(time, time))
