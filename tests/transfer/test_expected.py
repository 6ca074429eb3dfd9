"""A filter that finds fewer runs than it should stops before anything is written, and a slip in it is named."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT, Runner
from jsonschema import validate
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import empty_sqlite

import runsync as library
from runsync.errors import OtherRunsSelected
from runsync.model.selection import Selection

STORE = ROOT / "examples" / "mlruns"
CHANGES = (("tag", ("a=b",)), ("delete", ("--yes",)), ("restore", ("--yes",)))
NONE = ("--filter", "params.eta0 = 'no such'")


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    library.export(str(STORE), tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
def served(mlflow3_a: MlflowServer, prefix: str) -> str:
    """An experiment of two runs on a server that other tests use too; its name."""
    with Seeder(mlflow3_a.url) as seeder:
        home = seeder.create_experiment(prefix + "churn")
        for number in range(2):
            run_id = seeder.create_run(home, f"run {number}")
            seeder.log_batch(
                run_id, metrics=[("auc", 0.9, 1_700_000_000_000, 0)], params={"lr": "0.1"}, tags={"candidate": "yes"}
            )
            seeder.finish(run_id)
    return prefix + "churn"


def test_too_few_runs_stop_an_export_before_a_snapshot_is_made(tmp_path: Path, runsync: Runner) -> None:
    done = runsync("export", STORE, "new", *NONE, "--min-runs", "1")
    assert done.returncode == 4
    assert done.stderr.startswith("runsync: the selection matches 0 runs, fewer than 1 (--min-runs)")
    assert not (tmp_path / "new").exists()
    assert runsync("export", STORE, "new", "--min-runs", "10").returncode == 4
    assert runsync("export", STORE, "new", "--min-runs", "9").returncode == 0


@pytest.mark.parametrize(("asked", "code"), [(8, 4), (9, 0), (10, 4)])
def test_expect_runs_wants_just_so_many(tmp_path: Path, runsync: Runner, asked: int, code: int) -> None:
    for options in ((), ("--dry-run",)):
        done = runsync("export", STORE, f"new{len(options)}", "--expect-runs", asked, *options)
        assert done.returncode == code, done.stderr
        assert code == 0 or f"the {asked} runs that --expect-runs asks for" in done.stderr


def test_too_few_runs_stop_import_and_sync_before_anything_is_written(
    backup: Path, tmp_path: Path, runsync: Runner
) -> None:
    for verb, source in (("import", backup), ("sync", STORE)):
        target = tmp_path / verb
        for options in (("--dry-run",), ()):
            done = runsync(verb, source, target, *NONE, "--min-runs", "1", *options)
            assert (done.returncode, done.stdout) == (4, "")
            assert not target.exists()
        assert runsync(verb, source, target, "--min-runs", "1", "--expect-runs", "9").returncode == 0


def test_a_target_is_not_even_opened_for_too_few_runs(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So `--init` has made no tables, and no lock is in a bundle; and no run is read again because of it."""
    opened: list[str] = []
    target = f"sqlite:///{tmp_path}/new.db"
    for module in (import_module("runsync.transfer.import_"), import_module("runsync.transfer.sync")):
        monkeypatch.setattr(module, "open_target", lambda where, *_: opened.append(where))
    too_many = Selection(min_runs=10)
    with pytest.raises(OtherRunsSelected):
        library.import_(backup, target, selection=too_many)
    with pytest.raises(OtherRunsSelected):
        library.sync(str(STORE), target, selection=too_many)
    locked: list[str] = []
    monkeypatch.setattr("runsync.bundle.locks.shared", lambda store, *_: locked.append(store.address))
    with pytest.raises(OtherRunsSelected):
        library.export(str(STORE), backup, selection=too_many)
    assert (opened, locked) == ([], [])


def test_verify_of_too_few_runs_is_a_difference(backup: Path, runsync: Runner) -> None:
    done = runsync("verify", backup, STORE, *NONE, "--min-runs", "1")
    assert done.returncode == 4
    assert "the selection matches 0 runs, fewer than 1 (--min-runs)" in done.stdout
    assert runsync("verify", backup, STORE, "--expect-runs", "9").returncode == 0


def test_the_promotion_of_the_readme_fails_when_its_gate_is_not_met(
    served: str, mlflow3_a: MlflowServer, tmp_path: Path, runsync: Runner
) -> None:
    gate = ("--experiment", served, "--min-runs", "1", "--filter")
    done = runsync("export", mlflow3_a.url, "candidate", *gate, "metrics.auc > 0.95 AND tags.candidate = 'yes'")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "runsync: the selection matches 0 runs, fewer than 1 (--min-runs)\n"
    assert runsync("import", "candidate", tmp_path / "prod", "--min-runs", "1").returncode == 10
    met = runsync("export", mlflow3_a.url, "candidate", *gate, "metrics.auc > 0.8 AND tags.candidate = 'yes'")
    assert met.returncode == 0


def test_an_unmet_gate_says_so_when_no_number_was_given(runsync: Runner) -> None:
    done = runsync("export", STORE, "new", *NONE)
    assert done.returncode == 0
    assert "the selection matches no run" in done.stdout.splitlines()


def test_a_name_in_a_filter_that_no_run_of_a_server_has_is_reported(
    served: str, mlflow3_a: MlflowServer, tmp_path: Path, runsync: Runner
) -> None:
    gate = ("--experiment", served, "--filter", "metrics.aucc > 0.8 OR tags.auc = 'x' OR params.`l r` = '1'")
    told = [
        "no run has metrics.aucc: did you mean metrics.auc?",
        "no run has tags.auc: did you mean metrics.auc?",
        "no run has params.`l r`: did you mean params.lr?",
    ]
    done = runsync("export", mlflow3_a.url, "candidate", *gate, "--min-runs", "1")
    assert done.stderr == f"runsync: {'; '.join(('the selection matches 0 runs, fewer than 1 (--min-runs)', *told))}\n"
    done = runsync("export", mlflow3_a.url, "candidate", *gate)
    assert [line for line in done.stdout.splitlines() if "no run has" in line] == told
    assert runsync("runs", "list", mlflow3_a.url, *gate).stderr.splitlines() == [f"Note: {each}" for each in told]
    report = json.loads(runsync("runs", "list", mlflow3_a.url, *gate, "--json").stdout)
    assert report["notes"] == told


@pytest.mark.parametrize("kind", ["file store", "bundle", "sqlite"])
def test_a_name_in_a_filter_that_no_run_has_is_reported_everywhere(
    backup: Path, tmp_path: Path, runsync: Runner, kind: str
) -> None:
    shutil.copytree(STORE, tmp_path / "mlruns")
    where: object = {"file store": tmp_path / "mlruns", "bundle": backup}.get(kind)
    if where is None:
        where = empty_sqlite(tmp_path / "mlflow.db")
        assert runsync("import", backup, where).returncode == 0
    slip = ("--filter", "params.eta_0 = '1'")
    told = "no run has params.eta_0: did you mean params.eta0?"
    for verb in ("list", "csv", "compare"):
        done = runsync("runs", verb, where, *slip)
        assert told in done.stderr, verb
    commands: list[tuple[object, ...]] = [("verify", where, backup), ("diff", backup, where)]
    if kind != "bundle":
        commands += [("runs", verb, where, *words) for verb, words in CHANGES]
    for arguments in commands:
        done = runsync(*arguments, *slip)
        assert told in done.stdout, (arguments, done)


def test_what_some_run_has_is_no_slip_and_neither_is_asking_for_what_is_not_there(runsync: Runner) -> None:
    for text in ("params.eta0 = 'no such'", "tags.nowhere IS NULL", "run_name = 'x' AND start_time > 0"):
        done = runsync("runs", "list", STORE, "--filter", text)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_name_that_is_like_no_other_is_told_without_a_suggestion(runsync: Runner) -> None:
    done = runsync("runs", "list", STORE, "--filter", "metrics.zzzzzz > 1")
    assert done.stderr == "Note: no run has metrics.zzzzzz\n"


def test_from_python_too(tmp_path: Path) -> None:
    with pytest.raises(OtherRunsSelected, match="matches 9 runs, fewer than 10"):
        library.export(str(STORE), tmp_path / "b", selection=Selection(min_runs=10))
    with pytest.raises(OtherRunsSelected, match="matches more than the 3 runs"):
        library.export(str(STORE), tmp_path / "b", selection=Selection(expect_runs=3))
    report = library.export(str(STORE), tmp_path / "b", selection=Selection(min_runs=9))
    assert report.exit_code == 0
    manifest = json.loads(next((tmp_path / "b").glob("snapshots/*.json")).read_text())
    assert "min_runs" not in manifest["selection"]
    validate(report.to_document(), json.loads((ROOT / "schemas" / "v1" / "transfer-report.schema.json").read_text()))
