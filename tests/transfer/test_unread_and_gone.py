"""sync --delete where something cannot be read at the source: that is never deleted, and what is gone beside it is."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.hostile_server import Asked, Fault, Good, Handler, HostileServer
from support.stores import empty_sqlite, opened

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.transfer.report import TransferReport
from runsync.workspaces.direct.store import Arrival

EXPERIMENTS = {"1": "one", "2": "two", "3": "three"}
RUNS = {letter * 32: home for letter, home in zip("abcd", "1123", strict=True)}
A, B, C, D = RUNS
BAD = "CAST(X'6361FF' AS TEXT)"
EVERYTHING = {"one", "two", "three", A, B, C, D}
LEFT = {"one", "three", A, D}
"""What is active in the target once run B and experiment 2 are gone at the source, and that is followed."""
UNREAD = "1 item cannot be read at the source: not taken for deleted there"


def fill(address: str) -> str:
    with opened(address) as place:
        for id, name in EXPERIMENTS.items():
            assert place.store.create_experiment(Experiment(id, name, artifact_location=f"file:///art/{id}")) == id
        arrivals = [
            Arrival(Run(run_id, home, f"run {run_id[0]}", "ann", "FINISHED", 1000 + n, 2000), True)
            for n, (run_id, home) in enumerate(RUNS.items())
        ]
        assert place.store.write_runs(arrivals) == {}
    return address


class Files:
    """A file store."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "mlruns"
        shutil.copytree(Path(__file__).parents[2] / "examples" / "mlruns" / "0", self._root / "0")
        self.address = fill(str(self._root))

    def purge(self) -> None:
        shutil.rmtree(self._root / "1" / B)
        shutil.rmtree(self._root / "2")

    def spoil(self, what: str) -> None:
        if what == "trash":
            shutil.rmtree(self._root / ".trash", ignore_errors=True)
            (self._root / ".trash").symlink_to(self._root)
            return
        place = {"experiment": "3/meta.yaml", "piece": "1/tags/bad", "run": f"1/{A}/meta.yaml"}[what]
        (self._root / place).parent.mkdir(exist_ok=True)
        (self._root / place).write_bytes(b"[\xff")


class Database:
    """One of SQLite."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "mlflow.db"
        self.address = fill(empty_sqlite(self._file))

    def _change(self, *statements: str) -> None:
        with closing(sqlite3.connect(self._file)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = 1")
            for statement in statements:
                connection.execute(statement)

    def purge(self) -> None:
        self._change(
            f"DELETE FROM runs WHERE run_uuid = '{B}' OR experiment_id = 2",
            "DELETE FROM experiments WHERE experiment_id = 2",
        )

    def spoil(self, what: str) -> None:
        tag = f"INSERT INTO experiment_tags (key, value, experiment_id) VALUES ('bad', {BAD}, 1)"
        statements = {
            "piece": [tag],
            "run": [f"UPDATE runs SET lifecycle_stage = {BAD} WHERE run_uuid = '{A}'"],
            "homeless": [f"UPDATE runs SET experiment_id = 77 WHERE run_uuid = '{A}'"],
        }
        self._change(*statements[what])


class Server:
    """One that answers as none should."""

    def __init__(self, hostile: HostileServer) -> None:
        hostile.meet(Fault("of its own", "(experiments|runs|models|versions)/search", self._answer))
        self.address = hostile.url
        self._experiments: list[dict[str, Any]] = [
            {"experiment_id": id, "name": name, "lifecycle_stage": "active"} for id, name in EXPERIMENTS.items()
        ]
        self._runs = [
            {
                "info": {
                    "run_id": run_id,
                    "experiment_id": home,
                    "status": "FINISHED",
                    "start_time": 1000 + n,
                    "lifecycle_stage": "active",
                },
                "data": {},
            }
            for n, (run_id, home) in enumerate(RUNS.items())
        ]

    def _answer(self, handler: Handler, asked: Asked, right: Good) -> None:
        if "models" in asked.path or "versions" in asked.path:
            handler.send(Good({}))
            return
        if "experiments" in asked.path:
            handler.send(Good({"experiments": self._experiments}))
            return
        homes = asked.body["experiment_ids"]
        handler.send(Good({"runs": [run for run in self._runs if run["info"]["experiment_id"] in homes]}))

    def purge(self) -> None:
        self._experiments = [one for one in self._experiments if one.get("name") != "two"]
        self._runs = [run for run in self._runs if run["info"]["run_id"] not in (B, C)]

    def spoil(self, what: str) -> None:
        if what == "experiment":
            self._experiments[-1]["name"] = None
        elif what == "experiment without an id":
            del self._experiments[-1]["experiment_id"]
        elif what == "run":
            self._runs[0]["info"]["status"] = 7
        else:
            self._runs[0]["info"]["run_id"] = None


Source = Files | Database | Server
Make = Callable[[str], Source]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with HostileServer() as hostile:
        made: dict[str, Callable[[], Source]] = {
            "files": lambda: Files(tmp_path),
            "sqlite": lambda: Database(tmp_path),
            "server": lambda: Server(hostile),
        }
        yield lambda kind: made[kind]()


def active(where: str) -> set[str]:
    """Names of experiments and ids of runs, beside the first experiment."""
    with opened(where) as place:
        experiments = [e for e in place.experiments(Selection()) if e.experiment_id != "0"]
        runs = [run for batch in place.batches(experiments, Selection()) for run in batch.runs]
    return {e.name for e in experiments if e.lifecycle_stage == "active"} | {
        run.run_id for run in runs if run.lifecycle_stage == "active"
    }


def followed(source: Source, target: str) -> TransferReport:
    """With --delete, after a dry run that tells the same."""
    planned, done = (
        runsync.sync(source.address, target, artifacts=False, delete=True, max_delete="100%", dry_run=dry_run)
        for dry_run in (True, False)
    )
    told = [
        note.replace("would be deleted in the target", "deleted in the target, as at the source")
        for note in planned.notes
    ]
    assert told == done.notes
    return done


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        *(("files", "experiment"), ("files", "run"), ("sqlite", "run")),
        ("server", "experiment"),
        *(
            pytest.param(*both, marks=pytest.mark.slow)
            for both in (("files", "piece"), ("sqlite", "homeless"), ("sqlite", "piece"), ("server", "run"))
        ),
    ],
)
@pytest.mark.long
def test_what_cannot_be_read_stays_and_what_is_gone_beside_it_goes(
    make: Make, kind: str, what: str, tmp_path: Path
) -> None:
    source, target = make(kind), empty_sqlite(tmp_path / "there.db")
    assert runsync.sync(source.address, target, artifacts=False).failed == []
    assert active(target) == EVERYTHING
    source.purge()
    source.spoil(what)
    told = runsync.sync(source.address, target, artifacts=False)
    left = {one.what: one.count for one in told.not_carried if one.what.startswith("deletions")}
    assert (left, told.exit_code) == ({"deletions of runs": 1, "deletions of experiments": 1}, 3)
    assert active(target) == EVERYTHING
    done = followed(source, target)
    assert (active(target), done.exit_code, UNREAD in done.notes) == (LEFT, 3, what != "piece")
    assert any(note.startswith("1 experiment deleted in the target") for note in done.notes)


@pytest.mark.parametrize(("kind", "what"), [("files", "trash"), ("server", "experiment without an id")])
def test_where_any_experiment_may_be_the_unread_one_none_is_deleted_and_that_is_told(
    make: Make, kind: str, what: str, tmp_path: Path
) -> None:
    source, target = make(kind), empty_sqlite(tmp_path / "there.db")
    runsync.sync(source.address, target, artifacts=False)
    source.purge()
    source.spoil(what)
    done = followed(source, target)
    assert active(target) == EVERYTHING - {B}
    (unsure,) = (note for note in done.notes if "no longer found at the source" in note)
    assert "two (2)" in unsure
    assert ("three (3)" in unsure) == (kind == "server")


def test_where_a_run_tells_no_id_none_beside_it_is_deleted_and_that_is_told(make: Make, tmp_path: Path) -> None:
    source, target = make("server"), empty_sqlite(tmp_path / "there.db")
    runsync.sync(source.address, target, artifacts=False)
    source.purge()
    source.spoil("run without an id")
    done = followed(source, target)
    assert active(target) == EVERYTHING - {C, "two"}
    (unsure,) = (note for note in done.notes if "no longer found at the source" in note)
    assert unsure.startswith("2 runs no longer found")
    assert (A in unsure, B in unsure) == (True, True)
