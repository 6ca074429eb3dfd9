"""Ids are judged before anything is touched: one that leads elsewhere is an item that fails, and the others go on."""

from pathlib import Path

import pytest
from conftest import Runner
from support.memory import export_into

import runsync as api
from runsync.model.experiment import Experiment
from runsync.model.identity import ORIGIN
from runsync.model.ids import unfit_id, unfit_run
from runsync.model.run import Run
from runsync.testing.memory import MemorySource, run_with_metrics
from runsync.transfer import wanted

ODD = [
    "..",
    ".",
    "../../x",
    "a/b",
    "a\\b",
    "/etc",
    "-rf",
    "x" * 300,
    "a\nb",
    "a\x1b]0;b\x07",
    "a'b",
    "a b",
    "\u202ea",
    "%2e%2e",
]
GOOD = "a" * 32


@pytest.mark.parametrize("text", ["", *ODD, "é" * 126, "a?b", "a#b", "a&b", "\ud800"])
def test_what_leads_elsewhere_is_no_id(text: str) -> None:
    assert unfit_id(text)


@pytest.mark.parametrize("text", [GOOD, "first", "blue_shark_x1y2", "m-0f2b", "HD_1.2", "a:b", "ünï", "x" * 250, "0"])
def test_what_servers_give_out_is_one(text: str) -> None:
    assert unfit_id(text) is None


def test_the_id_where_a_run_was_born_is_judged_too() -> None:
    assert unfit_run(Run("a", "1", tags={ORIGIN: "x' OR 1"}))
    assert unfit_run(Run("a", "1", tags={ORIGIN: "b"})) is None


def _source(*ids: str) -> MemorySource:
    runs = [run_with_metrics(id, {"loss": [(0, 1, 1.0)]}) for id in (*ids, GOOD)]
    files: dict[str, dict[str, bytes | None]] = {id: {"f.txt": b"x"} for id in (*ids, GOOD)}
    return MemorySource([Experiment("1", "one")], runs, {r.run_id: {"loss": [(0, 1, 1.0)]} for r in runs}, files)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of somebody who means harm: an export of runsync would have left such runs out."""
    with monkeypatch.context() as patch:
        patch.setattr(wanted, "_judged", lambda batch: batch)
        export_into(tmp_path / "hostile", _source(*ODD))
    return tmp_path / "hostile"


def test_an_export_leaves_such_runs_out_and_names_them(tmp_path: Path) -> None:
    report = export_into(tmp_path / "b", _source(*ODD))
    assert sorted(failed["id"] for failed in report.failed) == sorted(ODD)
    assert all("its id cannot be used" in failed["error"] for failed in report.failed)
    assert (report.runs.created, report.exit_code) == (1, 3)
    assert api.check(str(tmp_path / "b")).exit_code == 0


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_an_import_writes_nothing_for_them(
    bundle: Path, runsync: Runner, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "out").mkdir()
    done = runsync("import", bundle, tmp_path / "out/mlruns", *options)
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("its id cannot be used") == len(ODD)
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    inside = {path for path in written if path.startswith("mlruns/1/")}
    assert written - inside <= {"mlruns/0/meta.yaml"}
    assert {path.split("/")[2] for path in inside} <= {"meta.yaml", "tags", GOOD}


@pytest.mark.parametrize(
    "place", ["{tmp}/elsewhere/notes/artifacts", "{store}/../elsewhere/notes/artifacts", "notes/artifacts"]
)
def test_a_file_store_is_not_read_outside_of_itself(place: str, runsync: Runner, tmp_path: Path) -> None:
    """Whoever made the store names the run as the folder that he wants read."""
    secret = tmp_path / "elsewhere/notes/artifacts/secret.txt"
    secret.parent.mkdir(parents=True)
    secret.write_text("private")
    store = tmp_path / "mlruns"
    _store(store, "notes", place.format(tmp=tmp_path, store=store))
    done = runsync("export", store, tmp_path / "b", cwd=tmp_path / "elsewhere")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "0 artifacts" in done.stdout
    assert not [blob for blob in (tmp_path / "b/blobs").rglob("*") if blob.is_file()]


def test_a_run_that_mlflow_made_may_lie_outside_of_the_store(runsync: Runner, tmp_path: Path) -> None:
    """Experiments have artifact locations of their own; nothing but a run is called by 32 digits."""
    file = tmp_path / "elsewhere" / GOOD / "artifacts/model.bin"
    file.parent.mkdir(parents=True)
    file.write_text("model")
    _store(tmp_path / "mlruns", GOOD, str(file.parent))
    done = runsync("export", tmp_path / "mlruns", tmp_path / "b")
    assert (done.returncode, "1 artifact (" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("place", ["s3://private/secrets", "s3://private/notes/artifacts", "s3://private/x/artifacts"])
def test_a_file_store_is_not_read_from_any_bucket(place: str, runsync: Runner, tmp_path: Path) -> None:
    """Our credentials may open buckets that whoever made the store cannot read."""
    _store(tmp_path / "mlruns", "notes", place)
    done = runsync("export", tmp_path / "mlruns", tmp_path / "b")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "which is not the folder of a run: refused" in done.stdout


def _store(store: Path, run_id: str, uri: str) -> None:
    """A file store with one run that has its artifacts there."""
    for folder in ("params", "tags", "metrics", "artifacts"):
        (store / "1" / run_id / folder).mkdir(parents=True)
    location = f"artifact_location: {store}/1\n"
    (store / "1/meta.yaml").write_text(f"experiment_id: '1'\nname: one\nlifecycle_stage: active\n{location}")
    (store / "1" / run_id / "meta.yaml").write_text(
        f"run_id: {run_id}\nexperiment_id: '1'\nstatus: 3\nlifecycle_stage: active\nartifact_uri: {uri}\n"
    )
