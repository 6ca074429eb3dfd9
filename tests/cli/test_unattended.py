"""A command that nobody watches: quiet when all is well, told in a log, counted in a file for Prometheus."""

import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Runner
from prometheus_client.parser import text_string_to_metric_families
from support import proxy as faults
from support.damage import flip, one_of
from support.memory import export_into
from support.proxy import FaultProxy, Rule
from support.secrets import MARK
from support.seed import Seeder, points
from support.servers import MlflowServer

from runsync.testing.memory import small_source

Samples = dict[tuple[str, str, str, str], float]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) \[\d+\] \S.*")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    export_into(folder, small_source())
    return folder


@pytest.fixture
def experiment(mlflow3_a: MlflowServer, prefix: str) -> str:
    """An experiment of three runs on the source server; its name."""
    with Seeder(mlflow3_a.url) as seeder:
        experiment_id = seeder.create_experiment(prefix + "churn")
        for number in range(3):
            run_id = seeder.create_run(experiment_id, f"run {number}")
            points(seeder, run_id, "loss", 20)
            seeder.put_artifact(run_id, "weights.bin", bytes(range(256)))
            seeder.finish(run_id)
    return prefix + "churn"


def log_of(file: Path) -> list[str]:
    """The lines, each as it should look."""
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    return lines


def metrics_of(file: Path) -> Samples:
    """Values by name, state, verb and target, as Prometheus reads them."""
    found: Samples = {}
    for family in text_string_to_metric_families(file.read_text(encoding="utf-8")):
        assert family.documentation
        assert family.type == "gauge"
        for sample in family.samples:
            labels = sample.labels
            found[sample.name, labels.get("state", ""), labels["verb"], labels["target"]] = sample.value
    return found


# --quiet


def test_quiet_says_nothing_when_all_went_well(
    experiment: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, runsync: Runner
) -> None:
    for arguments in [
        ("export", mlflow3_a.url, "b", "--experiment", experiment),
        ("check", "b"),
        ("import", "b", mlflow3_b.url),
        ("verify", "b", mlflow3_b.url),
    ]:
        assert runsync(*arguments, "--quiet") == (0, "", ""), arguments


def test_quiet_tells_what_failed_on_stderr(bundle: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner) -> None:
    flip(one_of(bundle, "blob"), 5)
    for arguments, code, told in [
        (("check", bundle), 12, "Faults (1):"),
        (("import", bundle, mlflow3_b.url, "--prefix", prefix), 3, "Missing pieces (1):"),
        (("verify", bundle, mlflow3_b.url, "--prefix", prefix + "nowhere"), 4, "missing"),
        (("check", "nowhere"), 10, "runsync: nowhere is not there"),
    ]:
        done = runsync(*arguments, "--quiet")
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert told in done.stderr


def test_quiet_leaves_the_json_report(bundle: Path, runsync: Runner) -> None:
    done = runsync("check", bundle, "--quiet", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"exit_code": 0' in done.stdout


# --log-file


def test_the_log_tells_the_command_its_end_and_every_piece_that_did_not_arrive(
    bundle: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    log = tmp_path / "runsync.log"
    flip(one_of(bundle, "blob"), 5)
    assert runsync("check", bundle, "--log-file", log).returncode == 12
    first = log_of(log)
    assert f"start: runsync check {bundle} --log-file {log}" in first[0]
    assert any(" ERROR " in line and "fault: file=blobs/" in line for line in first)
    assert "end: exit code 12 after" in first[-1]
    assert runsync("import", bundle, mlflow3_b.url, "--prefix", prefix, "--log-file", log).returncode == 3
    lines = log_of(log)
    assert lines[: len(first)] == first
    assert any("missing: run_id=" in line for line in lines)
    assert any(" INFO " in line and "otherwise in the target: " in line for line in lines)
    assert any("counted: runs{state=" in line for line in lines)
    assert "end: exit code 3 after" in lines[-1]


def test_the_log_tells_which_requests_were_tried_again(
    experiment: str, mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    rules = [Rule(faults.respond(503), "runs/search"), Rule(faults.drop(), "get-history")]
    with FaultProxy(mlflow3_a.url, *rules) as proxy:
        log = tmp_path / "log"
        done = runsync("export", proxy.url, "b", "--experiment", experiment, "--log-file", log)
    assert (done.returncode, done.stderr) == (0, "")
    tried = [line for line in log_of(log) if " WARNING " in line and "; again in " in line]
    assert any("runs/search: HTTP 503" in line for line in tried)
    assert len(tried) >= 2


def test_without_a_log_file_a_retry_is_not_told(experiment: str, mlflow3_a: MlflowServer, runsync: Runner) -> None:
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(503), "runs/search")) as proxy:
        done = runsync("export", proxy.url, "b", "--experiment", experiment)
    assert (done.returncode, done.stderr) == (0, "")


def test_neither_log_nor_metrics_hold_a_secret(
    experiment: str, mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    log, prom = tmp_path / "log", tmp_path / "x.prom"
    options = ("--log-file", log, "--metrics-file", prom)
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(500), count=2), basic=("ada", f"hunter2{MARK}")) as proxy:
        secret = proxy.url.replace("http://", f"http://ada:hunter2{MARK}@")
        wrong = secret.replace("hunter2", "hunter3")
        assert runsync("--debug", "export", secret, "b", "--experiment", experiment, *options).returncode == 0
        assert runsync("--debug", "export", wrong, "c", *options).returncode == 13
        assert runsync("import", "b", wrong, *options).returncode == 13
        assert runsync("import", "b", f"{secret}/?a=b", *options).returncode == 2
    written = log.read_text() + prom.read_text()
    assert "export" in written
    assert not re.search("ada|hunter", written)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("export", "nowhere", "b"), 2, "“nowhere” is no workspace"),
        (("export", "http://127.0.0.1:9", "b"), 13, "does not answer"),
        (("check", "nowhere"), 10, "nowhere is not there"),
        (("check", "nowhere", "--limit-rate", "fast"), 2, "no rate"),
        (("check", "nowhere", "--max-requests-per-second", "-1"), 2, "-1"),
        (("check", "a", "b"), 2, ""),
    ],
)
def test_every_way_to_end_is_logged_and_measured(
    runsync: Runner, tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    log, prom = tmp_path / "log", tmp_path / "x.prom"
    command, *others = arguments
    options = ("--log-file", log, "--metrics-file", prom)
    done = runsync(command, *options, *others, env={"RUNSYNC_PATIENCE": "0.2"})
    assert done.returncode == code
    lines = log_of(log)
    assert f"end: exit code {code} after" in lines[-1]
    assert any(" ERROR " in line and told in line for line in lines)
    assert {value for (name, *_), value in metrics_of(prom).items() if name == "runsync_exit_code"} == {code}


@pytest.mark.parametrize("option", ["--log-file", "--metrics-file"])
def test_a_file_that_cannot_be_written_is_told_before_anything_starts(
    runsync: Runner, tmp_path: Path, option: str
) -> None:
    for place in (tmp_path / "no such" / "file", tmp_path):
        done = runsync("export", "http://127.0.0.1:9", "b", option, place)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{option} {place} cannot be written" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "b").exists()


def test_a_log_on_a_full_disk_does_not_stop_the_command(bundle: Path, runsync: Runner) -> None:
    done = runsync("check", bundle, "--log-file", "/dev/full")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "/dev/full cannot be written" in done.stderr


# --metrics-file


def test_prometheus_reads_the_numbers_of_a_transfer(
    experiment: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    begun = time.time()
    prom = tmp_path / "runsync.prom"
    only = ("--experiment", experiment, "--metrics-file", prom)
    assert runsync("export", mlflow3_a.url, "b", *only).returncode == 0
    found = metrics_of(prom)
    of = ("export", "b")
    assert found["runsync_runs", "created", *of] == 3
    assert found["runsync_runs", "failed", *of] == 0
    assert found["runsync_metric_points", "", *of] == 60
    assert found["runsync_artifacts", "", *of] == 3
    assert found["runsync_artifact_bytes", "", *of] == 3 * 256
    assert found["runsync_problems", "", *of] == 0
    assert found["runsync_exit_code", "", *of] == 0
    assert found["runsync_requests", "", *of] > 3
    assert 0 < found["runsync_duration_seconds", "", *of] < 60
    assert begun <= found["runsync_last_success_timestamp_seconds", "", *of] <= time.time()
    assert runsync("verify", "b", mlflow3_a.url, *only).returncode == 0
    assert metrics_of(prom)["runsync_runs", "compared", "verify", mlflow3_a.url] == 3
    assert prom.stat().st_mode & 0o044 == 0o044, "another user, the collector, reads it"
    assert [file.name for file in tmp_path.iterdir()].count("runsync.prom") == 1
    assert not [*tmp_path.glob(".runsync.prom*")]


def test_the_last_success_is_kept_when_a_run_fails(bundle: Path, runsync: Runner, tmp_path: Path) -> None:
    prom = tmp_path / "x.prom"
    success = ("runsync_last_success_timestamp_seconds", "", "check", str(bundle))
    run = ("runsync_last_run_timestamp_seconds", "", "check", str(bundle))
    assert runsync("check", bundle, "--metrics-file", prom).returncode == 0
    before = metrics_of(prom)
    shutil.copytree(bundle, tmp_path / "copy")
    flip(one_of(bundle, "blob"), 5)
    assert runsync("check", bundle, "--metrics-file", prom).returncode == 12
    after = metrics_of(prom)
    assert after[success] == before[success]
    assert after[run] > before[run]
    assert after["runsync_problems", "", "check", str(bundle)] == 1
    assert runsync("check", tmp_path / "nowhere", "--metrics-file", prom).returncode == 10
    assert _successes(prom) == [0], "of another target there was none"


def test_a_dry_run_is_no_success(experiment: str, mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path) -> None:
    prom = tmp_path / "x.prom"
    options = ("--experiment", experiment, "--dry-run", "--metrics-file", prom)
    assert runsync("export", mlflow3_a.url, "b", *options).returncode == 0
    assert _successes(prom) == [0]


def _successes(prom: Path) -> list[float]:
    return [value for (name, *_), value in metrics_of(prom).items() if "success" in name]


UNREACHABLE = "http://127.0.0.1:9"
EXAMPLE = str(ROOT / "examples" / "bundle")


@pytest.mark.parametrize(
    ("failing", "working"),
    [
        (("export", UNREACHABLE, "new"), ("export", "SERVER", "new", "--experiment", "NAME")),
        (("import", "BUNDLE", UNREACHABLE), ("import", "BUNDLE", "SERVER", "--prefix", "NAME-import/")),
        (("sync", UNREACHABLE, "SERVER"), ("sync", "SERVER", "SERVER", "--experiment", "NAME", "--prefix", "NAME/")),
        (("verify", "BUNDLE", UNREACHABLE), ("verify", "BUNDLE", "BUNDLE")),
        (("diff", "BUNDLE", UNREACHABLE), ("diff", "BUNDLE", "BUNDLE")),
        (("check", "nowhere"), ("check", "BUNDLE")),
        (("copy", "nowhere", "other"), ("copy", "BUNDLE", "other")),
        (("forget", "nowhere", "--keep-last", "1", "--yes"), ("forget", "BUNDLE", "--keep-last", "1", "--yes")),
        (("prune", "nowhere", "--yes"), ("prune", "BUNDLE", "--yes")),
        (("runs", "compare", UNREACHABLE, "a", "b"), ("runs", "compare", EXAMPLE, "sweep", "C=0.5")),
        (
            ("runs", "tag", UNREACHABLE, "a=b", "--run", "x"),
            ("runs", "tag", "SERVER", "a=b", *("--experiment", "NAME")),
        ),
        (("runs", "delete", UNREACHABLE, "x", "--yes"), ("runs", "delete", "SERVER", "--yes", "--experiment", "NAME")),
    ],
    ids=lambda arguments: " ".join(arguments[:2]) if arguments[0] == "runs" else arguments[0],
)
def test_a_command_writes_the_same_numbers_however_it_ends(
    experiment: str,
    mlflow3_a: MlflowServer,
    bundle: Path,
    runsync: Runner,
    tmp_path: Path,
    failing: tuple[str, ...],
    working: tuple[str, ...],
) -> None:
    prom = tmp_path / "x.prom"
    patience = {"RUNSYNC_PATIENCE": "0.2"}

    def names_of(arguments: tuple[str, ...], is_success: bool) -> set[tuple[str, str]]:
        given = [
            word.replace("BUNDLE", str(bundle)).replace("SERVER", mlflow3_a.url).replace("NAME", experiment)
            for word in arguments
        ]
        done = runsync(*given, "--metrics-file", prom, env=patience)
        assert (done.returncode == 0) is is_success, done.stdout + done.stderr
        return {(name, state) for name, state, *_ in metrics_of(prom)}

    failed = names_of(failing, False)
    assert ("runsync_last_success_timestamp_seconds", "") in failed
    assert failed == names_of(working, True)


def test_a_target_with_quotes_and_backslashes_is_still_a_label(runsync: Runner, tmp_path: Path) -> None:
    name = 'a "bundle"\\n\nof mine'
    export_into(tmp_path / name, small_source())
    assert runsync("check", name, "--metrics-file", "x.prom").returncode == 0
    assert metrics_of(tmp_path / "x.prom")["runsync_snapshots", "", "check", name] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_command_is_logged_and_measured(
    experiment: str, mlflow3_a: MlflowServer, start_runsync: Callable[..., Any], tmp_path: Path, number: signal.Signals
) -> None:
    log, prom = tmp_path / "log", tmp_path / "x.prom"
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(429, retry_after=120), "artifacts/list")) as proxy:
        options = ("--experiment", experiment, "--log-file", log, "--metrics-file", prom, "--quiet")
        process = start_runsync("export", proxy.url, tmp_path / "b", *options)
        while not proxy.count("artifacts/list"):
            assert process.poll() is None
        process.send_signal(number)
        process.communicate(timeout=300)
    assert process.returncode == 130
    assert "end: exit code 130 after" in log_of(log)[-1]
    assert metrics_of(prom)["runsync_exit_code", "", "export", str(tmp_path / "b")] == 130
    assert not [*(tmp_path / "b").glob("locks/*")]
