"""Workspaces with one item of each kind of bad input that was ever met, each in a run of its own beside good runs."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runsync.model.experiment import Experiment
from runsync.model.run import Run
from support.stores import START, Filler, empty_sqlite, opened, run_id

HOME, SECOND = "101", "102"
CARRIED, NOTED, NAMED, LOST = "carried", "noted", "named", "lost"
"""What becomes of an item: it arrives; it is passed over and counted; it is a named failure of a run that arrives; its
run is one named failure."""
GOOD = {"lr": "0.1", "depth": "3"}
LOG = b"epoch 1\n"


@dataclass(frozen=True)
class Poison:
    """`label` tells the run; `name` is part of what a report calls the item; `put` spoils the run's folder or row;
    `unfit` are the kinds of targets that have no place for it."""

    label: str
    fate: str
    put: Callable[..., None]
    name: str = ""
    unfit: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """Of the run that has it."""
        return run_id(self.label)


def _file(path: str | bytes, content: bytes) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        place = folder / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    return put


def _edit(old: str, new: str) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        meta = folder / "meta.yaml"
        text = "\n".join(new if line.startswith(f"{old}:") else line for line in meta.read_text().splitlines())
        meta.write_text(f"{text}\n")

    return put


def _link(path: str, to: str) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(to)

    return put


def _without(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def _twice(folder: Path) -> None:
    shutil.copytree(folder, folder.parent.parent / SECOND / folder.name)


IN_FILES = (
    Poison("artifact name that is not UTF-8", NAMED, _file(b"artifacts/b\xe4d.png", b"x"), "d.png"),
    Poison("folder name that is not UTF-8", NAMED, _file(b"artifacts/\xff/plot.png", b"x"), "plot.png"),
    Poison("artifact with a colon", CARRIED, _file("artifacts/m:loss.png", b"x")),
    Poison("artifact of log_image", CARRIED, _file("artifacts/images/loss%step%0%timestamp%17%ab.png", b"x")),
    Poison("artifact with a line end", CARRIED, _file("artifacts/a\nb.txt", b"x")),
    Poison("artifact that is a link to nothing", NAMED, _link("artifacts/gone.bin", "/nowhere/at/all"), "gone.bin"),
    Poison("artifact that leads outside", NAMED, _link("artifacts/passwd", "/etc/passwd"), "passwd"),
    Poison("param that is not UTF-8", NAMED, _file("params/bad-param", b"\xff"), "bad-param"),
    Poison("tag that is not UTF-8", NAMED, _file("tags/bad-tag", b"\xff"), "bad-tag"),
    Poison("metric with a broken line", NAMED, _file("metrics/bad-metric", b"1 2 3\n1 two 3\n"), "bad-metric"),
    Poison("stray files", NOTED, _file("params/.DS_Store", b"\x00\x01")),
    Poison("stray folder", NOTED, _file("metrics/@eaDir/loss@SynoEAStream", b"x")),
    Poison("time that is no time", NAMED, _edit("end_time", "end_time: noon"), "end_time"),
    Poison("null in place of a name", CARRIED, _edit("run_name", "run_name: null")),
    Poison("time in the far future", CARRIED, _edit("end_time", "end_time: 32503680000000")),
    Poison("negative step", CARRIED, _file("metrics/negative", f"{START} 1.5 -3\n".encode())),
    Poison("metric that is no number", CARRIED, _file("metrics/nan", f"{START} nan 0\n{START} inf 1\n".encode())),
    Poison("tag of a megabyte", CARRIED, _file("tags/long", b"x" * 1_000_000), "long", ("postgres", "mysql")),
    Poison("param with NUL", CARRIED, _file("params/nul", b"a\x00b"), "nul", ("postgres",)),
    Poison("its own parent", CARRIED, lambda f: _file("tags/mlflow.parentRunId", f.name.encode())(f)),
    Poison("run without meta.yaml", LOST, _without("meta.yaml")),
    Poison("meta.yaml that is no YAML", LOST, _file("meta.yaml", b"{[")),
    Poison("run in two experiments", NAMED, _twice),
)


def poisoned_files(folder: Path) -> str:
    """A file store with all of `IN_FILES`, good runs before, between and after them; its address."""
    with opened(str(folder)) as workspace:
        filler = Filler(workspace)
        _fill(filler, [poison.label for poison in IN_FILES])
    for poison in IN_FILES:
        poison.put(folder / HOME / poison.run_id)
    (folder / "103").mkdir()
    (folder / "103" / "meta.yaml").write_text("{[")
    return str(folder)


def _sql(statement: str) -> Callable[[sqlite3.Connection, str], None]:
    """A statement in which `:run` is the run's id."""

    def put(database: sqlite3.Connection, run: str) -> None:
        database.execute(statement, {"run": run})

    return put


_PARAM = "INSERT INTO params (key, value, run_uuid) VALUES "
_TAG = "INSERT INTO tags (key, value, run_uuid) VALUES "
_POINT = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES "
IN_SQL = (
    Poison("param that is not UTF-8", NAMED, _sql(_PARAM + "('bad-param', CAST(x'ff41' AS TEXT), :run)"), "bad-param"),
    Poison("tag that is not UTF-8", NAMED, _sql(_TAG + "('bad-tag', CAST(x'e441' AS TEXT), :run)"), "bad-tag"),
    Poison("param key that is not UTF-8", NAMED, _sql(_PARAM + "(CAST(x'e441' AS TEXT), 'v', :run)"), "A"),
    Poison("name that is not UTF-8", NAMED, _sql("UPDATE runs SET name = CAST(x'ff41' AS TEXT) WHERE run_uuid = :run")),
    Poison("metric at no time", NAMED, _sql(_POINT + "('bad-metric', 1, 'noon', :run, 0, 0)"), "bad-metric"),
    Poison("metric that is a text", NAMED, _sql(_POINT + "('bad-metric', 'one', 1, :run, 0, 0)"), "bad-metric"),
    Poison("time that is no time", NAMED, _sql("UPDATE runs SET end_time = 'noon' WHERE run_uuid = :run"), "end_time"),
    Poison(
        "nulls", CARRIED, _sql("UPDATE runs SET name = NULL, end_time = NULL, user_id = NULL WHERE run_uuid = :run")
    ),
    Poison("no lifecycle stage", CARRIED, _sql("UPDATE runs SET lifecycle_stage = NULL WHERE run_uuid = :run")),
    Poison("time in the far future", CARRIED, _sql("UPDATE runs SET end_time = 32503680000000 WHERE run_uuid = :run")),
    Poison("negative step", CARRIED, _sql(_POINT + "('negative', 1.5, 1600000000000, :run, -3, 0)")),
    Poison("metric that is no number", CARRIED, _sql(_POINT + "('nan', 0, 1600000000000, :run, 0, 1)")),
    Poison(
        "tag of a megabyte",
        CARRIED,
        _sql(_TAG + "('long', printf('%.1000000c', 'x'), :run)"),
        "long",
        ("postgres", "mysql"),
    ),
    Poison(
        "key of 5000 characters",
        CARRIED,
        _sql(_PARAM + "(printf('%.5000c', 'k'), 'v', :run)"),
        "kkk",
        ("file store", "postgres", "mysql"),
    ),
    Poison(
        "metric of 300 characters",
        CARRIED,
        _sql(_POINT + "(printf('%.300c', 'm'), 1, 1, :run, 0, 0)"),
        "mmm",
        ("file store", "postgres", "mysql"),
    ),
    Poison("param with NUL", CARRIED, _sql(_PARAM + "('nul', CAST(x'610062' AS TEXT), :run)"), "nul", ("postgres",)),
    Poison("param that leads outside", CARRIED, _sql(_PARAM + "('../../x', 'v', :run)"), "../../x", ("file store",)),
    Poison("param below another", CARRIED, _sql(_PARAM + "('lr/deeper', 'v', :run)"), "lr/deeper", ("file store",)),
    Poison("params in other case", CARRIED, _sql(_PARAM + "('a 1', 'v', :run), ('A 1', 'w', :run)"), " 1", ("mysql",)),
    Poison("its own parent", CARRIED, _sql(_TAG + "('mlflow.parentRunId', :run, :run)")),
    Poison("run in no experiment", LOST, _sql("UPDATE runs SET experiment_id = 999 WHERE run_uuid = :run")),
    Poison("points of nobody", CARRIED, _sql(_POINT + "('loss', 1, 1, :run || 'x', 0, 0)")),
)


def poisoned_sqlite(file: Path) -> str:
    """A database with all of `IN_SQL`, and a run whose id is not UTF-8; its address."""
    address = empty_sqlite(file)
    with opened(address, str(file.parent / "mlartifacts")) as workspace:
        _fill(Filler(workspace), [poison.label for poison in IN_SQL])
    with closing(sqlite3.connect(file)) as database, database:
        for poison in IN_SQL:
            poison.put(database, poison.run_id)
        database.execute(
            "INSERT INTO runs SELECT CAST(x'ff6261642d6964' AS TEXT), name, source_type, source_name, "
            "entry_point_name, user_id, status, start_time, end_time, source_version, lifecycle_stage, artifact_uri, "
            "experiment_id, deleted_time FROM runs WHERE run_uuid = ?",
            (run_id("good 0"),),
        )
    return address


def good_ids() -> list[str]:
    """Of the runs with nothing wrong."""
    return [run_id(f"good {number}") for number in range(4)]


def _fill(filler: Filler, labels: list[str]) -> None:
    filler.default()
    for number in (HOME, SECOND):
        filler.experiment(Experiment(number, f"experiment {number}", creation_time=1, last_update_time=2))
    third = len(labels) // 3
    ordered = [
        "good 0",
        *labels[:third],
        "good 1",
        *labels[third : 2 * third],
        "good 2",
        *labels[2 * third :],
        "good 3",
    ]
    for age, label in enumerate(ordered):
        filler.run(
            Run(
                run_id(label),
                HOME,
                label,
                "ann",
                "FINISHED",
                START + age,
                START + age + 50,
                params=dict(GOOD),
                tags={"mlflow.runName": label, "team": "vision"},
            ),
            {"loss": [(START, 0, 0.5), (START + 1, 1, 0.25)]},
            {"log.txt": LOG},
        )
