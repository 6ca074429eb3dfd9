"""runs compare at the command line: places mixed, what differs, what is written, and what reaches a terminal."""

import csv
import io
import json
import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.command_line import command
from support.comparable import HOSTILE, hex_id, hostile_bundle
from support.forks import clean_environment
from support.seed import Seeder, points
from support.servers import MlflowServer
from wcwidth import wcswidth

from runsync.bundle import schemas


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_bundle(tmp_path_factory.mktemp("compare") / "bundle")


def document_of(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    schemas.check("compare-report", document, "stdout")
    return document


def row_of(document: dict[str, Any], group: str, key: str) -> dict[str, Any]:
    (found,) = [row for row in document["rows"] if (row["group"], row["key"]) == (group, key)]
    return dict(found)


def test_two_runs_are_compared_in_values_curves_and_artifacts(bundle: Path, runsync: Runner) -> None:
    done = runsync("runs", "compare", bundle, hex_id(0), hex_id(1), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = document_of(done.stdout)
    assert [run["run_id"] for run in document["runs"]] == [hex_id(0), hex_id(1)]
    assert row_of(document, "params", "lr")["values"] == ["0.1", "0.01"]
    assert row_of(document, "metrics", "val_loss")["best"] == [0]
    assert row_of(document, "metrics", "val_loss")["direction"] == "lower"
    assert row_of(document, "metrics", "auc")["best"] == [1]
    assert not row_of(document, "tags", "team")["differs"]
    curves = {curve["key"]: curve for curve in document["pair"]["curves"]}
    assert (curves["auc"]["first_difference"], curves["auc"]["first"]["points"]) == (1, 10)
    assert [file["path"] for file in document["pair"]["artifacts"]] == ["gone.txt", "model.bin"]
    told = runsync("runs", "compare", bundle, hex_id(0), hex_id(1), "--diff-only").stdout
    assert "they part at step 1" in told
    assert "model.bin: 3 bytes, sha256 " in told
    assert "optimizer" not in told
    without = runsync("runs", "compare", bundle, hex_id(0), hex_id(1), "--no-artifacts", "--json")
    assert document_of(without.stdout)["pair"]["artifacts"] is None


def test_runs_of_a_bundle_and_of_a_server_stand_in_one_table(
    bundle: Path, mlflow3_a: MlflowServer, prefix: str, runsync: Runner
) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        experiment_id = seeder.create_experiment(prefix + "live")
        run_id = seeder.create_run(experiment_id, prefix + "run", tags={"mlflow.source.name": "train.py"})
        seeder.log_batch(run_id, params={"lr": "0.1", "depth": "3"})
        points(seeder, run_id, "val_loss", 5)
        seeder.put_artifact(run_id, "same.bin", b"1")
        seeder.finish(run_id)
    with_server = ("--with", mlflow3_a.url, prefix + "run")
    done = runsync("runs", "compare", bundle, hex_id(0), *with_server, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = document_of(done.stdout)
    assert document["runs"][0]["place"].startswith(f"{bundle}@")
    assert document["runs"][1] == {
        "run_id": run_id,
        "name": prefix + "run",
        "experiment": prefix + "live",
        "place": mlflow3_a.url,
    }
    assert row_of(document, "params", "depth")["values"] == [None, "3"]
    assert row_of(document, "details", "source")["values"] == [None, "train.py"]
    curves = {curve["key"]: curve for curve in document["pair"]["curves"]}
    assert [curves["val_loss"][side]["points"] for side in ("first", "second")] == [10, 5]
    assert [file["path"] for file in document["pair"]["artifacts"]] == ["gone.txt", "model.bin"]
    selected = runsync("runs", "compare", mlflow3_a.url, "--filter", "params.depth = '3'", "--json")
    assert run_id in [run["run_id"] for run in document_of(selected.stdout)["runs"]]


def test_the_same_run_of_two_places_stands_there_once_each(bundle: Path, runsync: Runner) -> None:
    done = runsync("runs", "compare", bundle, hex_id(1), "--also-in", f"{bundle}@latest", "--json")
    assert len(document_of(done.stdout)["runs"]) == 1  # one and the same snapshot
    everything = runsync("runs", "compare", bundle, "--json")
    assert [run["run_id"] for run in document_of(everything.stdout)["runs"]] == [hex_id(2), hex_id(1), hex_id(0)]
    assert document_of(everything.stdout)["pair"] is None


def test_csv_is_a_row_a_run(bundle: Path, runsync: Runner, tmp_path: Path) -> None:
    done = runsync("runs", "compare", bundle, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["run_id"] for row in rows] == [hex_id(2), hex_id(1), hex_id(0)]
    assert [row["params.lr"] for row in rows] == ["0.001", "0.01", "0.1"]
    assert [row["metrics.auc"] for row in rows] == ["NaN", "0.9", "0.5"]
    assert rows[0]["params.note"] == HOSTILE
    assert runsync("runs", "compare", bundle, "--format", "csv", "--diff-only", "--output", "out.csv").returncode == 0
    kept = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert "run_id" in kept
    assert "params.optimizer" not in kept


def test_a_page_is_written_to_a_file(bundle: Path, runsync: Runner, tmp_path: Path) -> None:
    done = runsync("runs", "compare", bundle, "--format", "html", "--output", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"3 runs compared: page\.html \(\d\.\d MB\)\n", done.stdout)
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--format", "html"), 2, "give --output FILE"),
        (("--format", "csv", "--json"), 2, "give one"),
        (("--format", "html", "--output", "x.html", "--x", "params.none"), 2, "is no axis"),
        (("f" * 32,), 1, "there is no run"),
        (("--output", "no/such/folder"), 1, "cannot write"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    bundle: Path, runsync: Runner, arguments: tuple[str, ...], code: int, told: str
) -> None:
    if arguments[0] == "f" * 32:
        arguments = ("--run", *arguments)
    done = runsync("runs", "compare", bundle, *arguments)
    assert (done.returncode, done.stdout == "") == (code, "--json" not in arguments)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pipe_gets_whole_values_without_colours_or_control_characters(bundle: Path, runsync: Runner) -> None:
    done = runsync("runs", "compare", bundle)
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m" in done.stdout
    assert f"2 {HOSTILE}" in done.stdout
    assert "0.9 *" in done.stdout
    assert "* best: the least of" in done.stdout


@pytest.fixture(scope="module")
def on_terminal(bundle: Path) -> Any:
    """What a terminal of 80 columns gets."""

    def run(*arguments: str, **environment: str) -> str:
        own, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = clean_environment() | {"TERM": "xterm"} | environment
        process = subprocess.Popen(
            command("runs", "compare", bundle, *(arguments or ("--state=all",))),
            env=env,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        os.close(theirs)
        told = b""
        while True:
            try:
                piece = os.read(own, 65536)
            except OSError:
                break
            if not piece:
                break
            told += piece
        os.close(own)
        assert process.wait() == 0
        return told.decode()

    return run


@pytest.mark.long
def test_a_terminal_gets_blocks_that_fit_it_in_columns_that_align(on_terminal: Any) -> None:
    told = on_terminal(NO_COLOR="1")
    assert "\x1b" not in told
    lines = told.splitlines()
    assert max(wcswidth(line) for line in lines[: lines.index(next(t for t in lines if "rows differ" in t))]) <= 80
    assert sum(line.strip() == "params" for line in lines) > 1  # row names stand in every block
    assert "日本語" in told


@pytest.mark.long
def test_two_runs_stand_beside_each_other_and_what_differs_is_seen(on_terminal: Any) -> None:
    lines = on_terminal(hex_id(1), hex_id(2), NO_COLOR="1").splitlines()
    assert max(wcswidth(line) for line in lines) <= 80
    assert sum(line.strip() == "params" for line in lines) == 1
    for row in ("run_id", "end_time", "mlflow.note.content"):
        (line,) = [line for line in lines if line.startswith(f"  {row} ")]
        one, other = line[30:54].strip(), line[56:].strip()
        assert one != other
        assert one
    assert "Metric curves: 0 the same, 2 not." in lines  # that of one point is told by its row


@pytest.mark.long
def test_a_terminal_gets_equal_rows_dim_and_the_best_value_marked(on_terminal: Any) -> None:
    told = on_terminal()
    assert re.search(r"\x1b\[2m  optimizer", told)
    assert re.search(r"\x1b\[32m\x1b\[1m0\.9 \*", told)
    assert "\x1b[31m" not in told
