"""Looking at bundles, without any server: lists in all formats, CSV as the runs page has it, files of runs."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from support.command_line import command
from support.forks import clean_environment
from support.memory import export_into
from support.processes import GONE
from support.s3 import Bucket

import runsync
from runsync.bundle.processes import here
from runsync.cli.tables import columns_of
from runsync.errors import NothingSelected, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.times import duration
from runsync.runs.columns import ago, parse_columns
from runsync.runs.history import sparkline
from runsync.testing.memory import START, MemorySource, run_with_metrics

ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 32


def _source() -> MemorySource:
    points = {"loss": [(0, START, 1.5), (1, START + 1, float("nan")), (2, START + 2, 0.5)], "auc": [(0, START, 0.75)]}
    one = run_with_metrics(
        ONE,
        points,
        name="日本 café",
        params={"lr": "0.1", "auc": "a param", "a,b": '=1+"x"'},
        tags={
            "mlflow.runName": "日本 café",
            "mlflow.source.type": "NOTEBOOK",
            "mlflow.source.name": "/n",
            "mlflow.user": "ada",
            "team": "é",
        },
    )
    two = run_with_metrics(TWO, {}, name="bad\x1b[31m\nname", start_time=START + 5000, status="FAILED")
    three = run_with_metrics(THREE, {}, experiment_id="2", lifecycle_stage="deleted", end_time=None, status="RUNNING")
    files: dict[str, dict[str, bytes | None]] = {
        ONE: {"model/MLmodel": b"x: 1\n", "model/w.bin": bytes(3000), "a": b""}
    }
    experiments = [Experiment("1", "kept", tags={"team": "vision"}), Experiment("2", "gone", "deleted")]
    return MemorySource(experiments, [one, two, three], {ONE: points}, files)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("look") / "bundle"
    export_into(folder, _source())
    return folder


def _run(*arguments: object) -> Result:
    """In this process."""
    from runsync.cli.journal import Journal
    from runsync.cli.root import cli

    words = [str(a) for a in arguments]
    done = CliRunner().invoke(cli, words, obj={"journal": Journal(words)}, standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, (runsync.RunsyncError, click.ClickException)):
        raise done.exception
    return done


def test_a_table_in_a_pipe_is_whole_and_printable(bundle: Path) -> None:
    lines = _run("runs", "list", bundle, "--state", "all").stdout.splitlines()
    assert lines[0].split()[:3] == ["run_id", "run_name", "experiment.name"]
    assert [line.split()[0] for line in lines[1:]] == [TWO, ONE, THREE]
    assert "bad\\x1b[31m\\nname" in lines[1]
    assert "\x1b" not in "".join(lines)


def test_deleted_runs_are_listed_when_they_are_asked_for(bundle: Path) -> None:
    for listed in (("list", bundle, "--columns", "run_id"), ("csv", bundle)):
        for state, runs in (("active", {ONE, TWO}), ("deleted", {THREE}), ("all", {ONE, TWO, THREE})):
            told = _run("runs", *listed, "--state", state).stdout
            assert {run for run in (ONE, TWO, THREE) if run in told} == runs
        assert THREE not in _run("runs", *listed).stdout
    assert "--state all takes active and deleted runs" in str(_run("runs", "list", bundle, "--run", THREE).exception)


def test_columns_and_orders_are_chosen_by_name(bundle: Path) -> None:
    done = _run(
        "runs", "list", bundle, "--columns", "name,params.`a,b`,metrics.auc,start_time", "--format", "csv",
        "--order-by", "metrics.auc", "--limit", "2",
    )  # fmt: skip
    rows = list(csv.reader(io.StringIO(done.stdout, newline="")))
    assert rows[0] == ["run_name", "params.`a,b`", "metrics.auc", "start_time"]
    assert rows[1] == ["日本 café", '=1+"x"', "0.75", "2023-11-14T22:13:20.000Z"]
    assert len(rows) == 3
    assert b"\r" not in done.stdout_bytes
    assert "did you mean “start_time”" in str(_run("runs", "list", bundle, "--order-by", "start_tim").exception)
    assert "has no value" in str(_run("runs", "list", bundle, "--columns", "dataset.name").exception)


def test_jsonl_is_a_document_a_line(bundle: Path) -> None:
    every = ("runs", "list", bundle, "--state", "all")
    documents = [json.loads(line) for line in _run(*every, "--format", "jsonl").stdout.splitlines()]
    assert [d["experiment"] for d in documents] == ["kept", "kept", "gone"]
    run = {k: v for k, v in documents[1].items() if k != "experiment"}
    assert Run.from_document(run).params["lr"] == "0.1"


def test_parquet_has_maps_or_a_column_a_field(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "runs.parquet"
    assert _run("runs", "list", bundle, "--format", "parquet", "--output", place).return_value == 0
    table = pq.read_table(place)
    assert dict(table["params"][1].as_py()) == {"lr": "0.1", "auc": "a param", "a,b": '=1+"x"'}
    _run("runs", "list", bundle, "--format", "parquet", "--columns", "run_id,metrics.auc", "--output", place)
    assert pq.read_table(place).to_pydict() == {"run_id": [TWO, ONE], "metrics.auc": [None, 0.75]}
    assert [file.name for file in tmp_path.iterdir()] == ["runs.parquet"]


def test_a_list_in_python_has_the_columns_of_mlflow(bundle: Path) -> None:
    report = runsync.list_runs(str(bundle), selection=runsync.Selection(experiments=("kept",)))
    table = report.to_arrow()
    assert {"experiment_id", "run_id", "metrics.auc", "params.auc", "tags.team"} <= set(table.column_names)
    assert table["params.lr"].to_pylist() == [None, "0.1"]


def test_the_csv_is_that_of_the_runs_page(bundle: Path) -> None:
    done = _run("runs", "csv", bundle)
    rows = list(csv.reader(io.StringIO(done.stdout, newline="")))
    head = ["Run ID", "Name", "Source Type", "Source Name", "User", "Status"]
    assert rows[0] == [*head, "a,b", "auc", "lr", "auc", "loss"]
    assert rows[2][:6] == [ONE, "日本 café", "NOTEBOOK", "/n", "ada", "FINISHED"]
    assert rows[2][6:] == ['=1+"x"', "a param", "0.1", "0.75", "0.5"]
    assert rows[1][6:] == [""] * 5


def test_a_run_and_its_files_of_a_bundle(bundle: Path, tmp_path: Path) -> None:
    report = runsync.show_run(str(bundle), ONE)
    loss = next(curve for curve in report.metrics if curve.key == "loss")
    assert (loss.last, loss.lowest, loss.highest, loss.points) == (0.5, 0.5, 1.5, 3)
    assert "█·▁" in _run("runs", "show", bundle, ONE).stdout
    assert all(file.sha256 for file in runsync.list_artifacts(str(bundle), ONE, "model").files)
    out = tmp_path / "out"
    assert runsync.get_artifacts(str(bundle), ONE, into=out).exit_code == 0
    (out / "model/w.bin").write_bytes(b"\x01" * 3000)
    again = runsync.get_artifacts(str(bundle), ONE, into=out)
    assert [file.action for file in again.files] == ["kept", "kept", "fetched"]
    assert sorted(p.name for p in out.rglob("*")) == ["MLmodel", "a", "model", "w.bin"]
    assert (out / "model/w.bin").read_bytes() == bytes(3000)


def test_a_file_that_cannot_be_written_fails_alone(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("in the way")
    done = _run("artifacts", "get", bundle, ONE, "--into", tmp_path)
    assert done.return_value == 3
    assert "1 file fetched" in done.stdout
    assert "2 failed" in done.stdout


def test_a_path_that_leaves_its_folder_is_refused() -> None:
    from runsync.model.run import ArtifactFile
    from runsync.runs.fetch import _arranged

    wanted, (found,) = _arranged([ArtifactFile("../evil", 1)])
    assert (wanted, found.action, "leaves its folder" in found.error) == ([], "failed", True)


def test_experiments_of_a_bundle_are_counted(bundle: Path) -> None:
    report = runsync.list_experiments(str(bundle))
    assert (report.runs, [e.name for e in report.experiments]) == ({"1": 2, "2": 1}, ["kept", "gone"])
    shown = runsync.show_experiment(str(bundle), "kept")
    assert (shown.statuses, shown.newest) == ({"FAILED": 1, "FINISHED": 1}, START + 5000)
    assert "vision" in _run("experiments", "show", bundle, "kept").stdout
    assert "gone" not in _run("experiments", "list", bundle, "--state", "active").stdout


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("runs-list-report", ("runs", "list", "{}")),
        ("run-report", ("runs", "show", "{}", ONE)),
        ("experiments-list-report", ("experiments", "list", "{}")),
        ("experiment-report", ("experiments", "show", "{}", "kept")),
        ("artifacts-list-report", ("artifacts", "list", "{}", ONE)),
        ("artifacts-get-report", ("artifacts", "get", "{}", ONE, "--dry-run")),
    ],
)
def test_json_reports_are_valid(bundle: Path, kind: str, arguments: tuple[str, ...]) -> None:
    from runsync.bundle import schemas

    done = _run(*(a.format(bundle) for a in arguments), "--json")
    schemas.check(kind, json.loads(done.stdout), "stdout")


def _on_a_terminal(*arguments: object, **variables: str) -> str:
    """What a command shows on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {name: value for name, value in clean_environment().items() if name not in ("COLUMNS", "NO_COLOR")}
    subprocess.run(
        command(*arguments), env=env | variables, stdout=follower, stderr=subprocess.STDOUT, check=False, timeout=300
    )
    os.close(follower)
    shown = bytearray()
    with contextlib.suppress(OSError):  # the end of what was written
        while chunk := os.read(leader, 65536):
            shown.extend(chunk)
    os.close(leader)
    return shown.decode()


@pytest.mark.long
def test_a_terminal_of_80_columns_gets_no_longer_lines_and_colours_unless_unwanted(bundle: Path) -> None:
    page = _on_a_terminal("runs", "show", bundle, ONE)
    assert "\x1b[1m" in page
    plain = _on_a_terminal("runs", "show", bundle, ONE, NO_COLOR="1")
    assert "\x1b" not in plain
    listed = _on_a_terminal("runs", "list", bundle)
    for line in (plain + listed).splitlines():
        assert columns_of(line) <= 80, line
    assert listed.splitlines()[1].split()[0] == TWO[:8]
    assert "\x1b" not in listed
    assert "\\x1b[31m" in _on_a_terminal("runs", "list", bundle, "--columns", "run_name", "--format", "csv")
    assert "--output" in _on_a_terminal("runs", "list", bundle, "--format", "parquet")


def test_values_read_well() -> None:
    assert [duration(ms) for ms in (0, 1500, 61_000, 3_720_000, 90_000_000)] == [
        "0.0s",
        "1.5s",
        "1m 1s",
        "1h 2m",
        "1d 1h",
    ]
    assert [ago(START, START + s * 1000) for s in (0, 61, 7200, 200_000)] == ["0s ago", "1m ago", "2h ago", "2d ago"]
    assert sparkline([0, 1, 2, float("nan"), 7]) == "▁▂▃·█"
    assert sparkline([3.0, 3.0]) == "▅▅"
    assert [str(f) for f in parse_columns("run_id, name,tags.`x, y`")] == ["run_id", "run_name", "tags.`x, y`"]


def test_a_bundle_on_s3_is_looked_at_like_one_on_a_disk(
    bundle: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    there = f"{bucket.url}/b"
    assert runsync.copy(bundle, there).exit_code == 0
    chosen = runsync.Selection(filter="params.lr = 0.1 OR state = 'deleted' AND NOT artifact.path LIKE '%'")
    for selection in (None, chosen):
        one, other = (runsync.list_runs(str(where), selection=selection) for where in (bundle, there))
        assert one.runs == other.runs
    assert [run.run_id for run in other.runs] == [ONE, THREE]
    shown = runsync.show_run(there, "日本 café").to_document()
    assert {**shown, "place": 0, "seconds": 0} == {
        **runsync.show_run(str(bundle), ONE[:6]).to_document(),
        "place": 0,
        "seconds": 0,
    }
    assert runsync.get_artifacts(there, ONE, into=tmp_path).exit_code == 0
    assert (tmp_path / "model/w.bin").read_bytes() == bytes(3000)
    assert runsync.compare_runs(there, [ONE, TWO]).differing()


def test_a_run_of_a_selection_may_be_named_by_the_beginning_of_its_id_or_by_name(bundle: Path) -> None:
    for named in (ONE, ONE[:4], "日本 café"):
        chosen = runsync.Selection(runs=(named, TWO[:5]))
        assert {run.run_id for run in runsync.list_runs(str(bundle), selection=chosen).runs} == {ONE, TWO}
    with pytest.raises(NothingSelected, match="there is no run “3f”: give an id, 4 characters or more of one"):
        runsync.list_runs(str(bundle), selection=runsync.Selection(runs=("3f",)))


def test_a_file_is_written_in_the_format_its_name_ends_on(bundle: Path, tmp_path: Path) -> None:
    for name, begin in (("x.csv", b"run_id,"), ("x.json", b"{"), ("x.jsonl", b'{"run_id"'), ("x.txt", b"run_id  ")):
        _run("runs", "list", bundle, "--output", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)
    _run("runs", "compare", bundle, ONE, TWO, "--output", tmp_path / "c.html")
    assert (tmp_path / "c.html").read_bytes().startswith(b"<!doctype html>")


def test_every_param_and_metric_is_a_column_in_a_pipe_and_a_terminal_is_told_of_what_is_left(tmp_path: Path) -> None:
    many = run_with_metrics(ONE, {}, params={f"a param of many {number}": "1" for number in range(40)})
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], [many]))
    assert _run("runs", "list", tmp_path / "b").stdout.splitlines()[0].count("params.") == 40
    assert _run("runs", "list", tmp_path / "b", "--format", "csv").stdout.splitlines()[0].count("params.") == 40
    assert "(40 more columns of metrics and params: --columns, or --format csv)" in _on_a_terminal(
        "runs", "list", tmp_path / "b"
    )


def test_a_slip_in_an_order_is_told(bundle: Path) -> None:
    done = _run("runs", "list", bundle, "--order-by", "metrics.auc DSC")
    assert "“metrics.auc DSC” names no field" in str(done.exception)


def test_a_name_that_begins_like_another_runs_id_is_no_run_until_it_is_clear(tmp_path: Path) -> None:
    runs = [run_with_metrics(ONE, {}), run_with_metrics(TWO, {}, name="1111", tags={"mlflow.runName": "1111"})]
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], runs))
    with pytest.raises(WrongUsage, match="“1111” means 2 runs"):
        runsync.show_run(str(tmp_path / "b"), "1111")
    assert runsync.show_run(str(tmp_path / "b"), "11111").run.run_id == ONE


def test_a_run_with_quotes_and_backslashes_in_its_name_is_found_by_it(tmp_path: Path) -> None:
    names = ["it's", 'say "x"', 'it\'s "x"', "a\\'b", "c\\"]
    runs = [run_with_metrics(str(n) * 32, {}, name=x, tags={"mlflow.runName": x}) for n, x in enumerate(names)]
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], runs))
    for name in names:
        assert runsync.show_run(str(tmp_path / "b"), name).run.name == name


def test_a_link_that_leads_out_of_the_folder_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into/model").symlink_to(tmp_path / "elsewhere")
    report = runsync.get_artifacts(str(bundle), ONE, into=tmp_path / "into")
    assert {file.path for file in report.files if "leads out" in file.error} == {"model/MLmodel", "model/w.bin"}
    assert [*(tmp_path / "elsewhere").iterdir()] == []
    with pytest.raises(WrongUsage, match="into a folder"):
        runsync.get_artifacts(str(bundle), ONE, into="s3://bucket/x")


def test_a_disk_that_keeps_no_times_or_permissions_has_the_files_all_the_same(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of Windows, or a bucket that is mounted."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("os.utime", "shutil.copymode", "os.fchmod"):
        monkeypatch.setattr(name, refuse)
    for _ in range(2):
        report = runsync.get_artifacts(str(bundle), ONE, into=tmp_path / "into")
        assert (report.exit_code, (tmp_path / "into/model/MLmodel").read_bytes()) == (0, b"x: 1\n")
        assert _run("runs", "list", bundle, "--format", "csv", "--output", tmp_path / "runs.csv").exit_code == 0
    assert runsync.reproduce(str(bundle), ONE, tmp_path / "again").files


def test_a_link_or_a_device_that_is_written_to_stays_one(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file.csv")
    assert _run("runs", "list", bundle, "--format", "csv", "--output", tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file.csv").read_text().startswith("run_id,")
    assert _run("runs", "list", bundle, "--format", "csv", "--output", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_cells_of_csv_with_either_end_of_a_line_are_quoted(tmp_path: Path) -> None:
    odd = run_with_metrics(ONE, {}, params={"p": "one\rtwo", "q": "one\ntwo"})
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], [odd]))
    for arguments in (("csv", tmp_path / "b"), ("compare", tmp_path / "b", ONE, "--format", "csv")):
        told = _run("runs", *arguments)
        rows = list(csv.reader(io.StringIO(told.stdout_bytes.decode(), newline="")))
        assert len(rows) == 2
        assert {"one\rtwo", "one\ntwo"} <= set(rows[1])


def test_a_time_beyond_all_years_is_shown_as_it_is(tmp_path: Path) -> None:
    odd = run_with_metrics(ONE, {}, start_time=9 * 10**17)
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], [odd]))
    for arguments in (("list", tmp_path / "b"), ("show", tmp_path / "b", ONE), ("compare", tmp_path / "b", ONE)):
        assert "900000000000000000" in _run("runs", *arguments).stdout


def test_what_a_killed_process_left_half_written_is_removed(bundle: Path, tmp_path: Path) -> None:
    left, others = tmp_path / f"model/.runsync-{GONE.token}-1.part", tmp_path / f".runsync-{here().token}-1.part"
    left.parent.mkdir()
    left.touch()
    others.touch()
    assert runsync.get_artifacts(str(bundle), ONE, into=tmp_path).exit_code == 0
    assert not left.exists()
    assert others.exists()
