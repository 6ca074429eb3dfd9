"""check names every broken, missing or foreign file of a bundle, and import never takes wrong bytes from one."""

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.damage import (
    KINDS,
    Documents,
    craft,
    craft_bytes,
    documents_in,
    edit_manifest,
    edit_marker,
    files_of,
    flip,
    one_of,
)
from support.memory import export_into
from support.oracle import Reader
from support.servers import MlflowServer

from runsync.bundle.check import check
from runsync.bundle.forget import forget
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import BundleDamaged, BundleNotFound, RunsyncError
from runsync.model.selection import Selection
from runsync.testing.memory import small_source

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound bundle; tests break copies of it."""
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    export_into(folder, small_source())
    return folder


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def _faults(bundle: Path, *, quick: bool = False) -> dict[str, str]:
    """The faults by file; fails when check finds none, or ends with another code than 12."""
    report = check(bundle, quick=quick)
    assert report.exit_code == 12, "check found the bundle sound"
    return {fault.file: fault.error for fault in report.faults}


@pytest.mark.parametrize("quick", [False, True])
def test_a_sound_bundle_has_no_faults_and_every_file_is_looked_at(bundle: Path, quick: bool) -> None:
    report = check(bundle, quick=quick)
    assert (report.faults, report.unused, report.exit_code) == ([], [], 0)
    files = files_of(bundle)
    assert report.files == len(files)
    hashed = sum(len(content) for name, content in files.items() if name.startswith(("parts/", "blobs/")))
    assert report.bytes == (0 if quick else hashed)


@pytest.mark.parametrize("kind", ["runs part", "metrics part", "experiments part", "blob"])
def test_any_flipped_byte_in_a_file_is_found_and_the_file_named(bundle: Path, kind: str) -> None:
    file = one_of(bundle, kind)
    name = file.relative_to(bundle).as_posix()
    sound = file.read_bytes()
    for position in {0, 3, 9, len(sound) // 3, len(sound) // 2, len(sound) - 9, len(sound) - 1}:
        flip(file, position)
        faults = _faults(bundle)
        assert name in faults, f"byte {position}: {faults}"
        assert set(faults) == {name}, f"byte {position}: {faults}"
        file.write_bytes(sound)


@pytest.mark.parametrize("step", [29, pytest.param(7, marks=pytest.mark.slow)])
def test_any_flipped_byte_in_a_manifest_is_found_and_the_file_named(bundle: Path, step: int) -> None:
    file = one_of(bundle, "manifest")
    name = file.relative_to(bundle).as_posix()
    sound = file.read_bytes()
    missed = []
    for position in range(0, len(sound), step):
        flip(file, position)
        found = {fault.file for fault in check(bundle, quick=True).faults}
        file.write_bytes(sound)
        if name not in found:
            missed.append(sound[:position].splitlines()[-1] + b" <- here")
    assert missed == []


@pytest.mark.parametrize("position", [0, 5, 40, -3])
def test_a_broken_marker_is_told_with_its_file(bundle: Path, position: int) -> None:
    file = one_of(bundle, "marker")
    content = file.read_bytes()
    file.write_bytes(content[:position] + b"\xff" + content[position:][1:])
    with pytest.raises(BundleDamaged, match=r"bundle/runsync\.json: "):
        check(bundle)


@pytest.mark.parametrize("kind", ["runs part", "metrics part", "experiments part", "blob"])
@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_file_is_named(bundle: Path, kind: str, quick: bool) -> None:
    file = one_of(bundle, kind)
    file.unlink()
    name = file.relative_to(bundle).as_posix()
    report = check(bundle, quick=quick)
    faults = [fault for fault in report.faults if fault.file == name]
    assert any(fault.error == "it is missing" for fault in faults)
    assert {fault.file for fault in report.faults} == {name}
    (snapshot,) = [file.stem for file in bundle.glob("snapshots/*.json")]
    assert all(fault.snapshots == [snapshot] for fault in faults)


@pytest.mark.parametrize("kind", ["runs part", "metrics part", "experiments part", "blob"])
@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
@pytest.mark.parametrize("quick", [False, True])
def test_a_truncated_file_is_named(bundle: Path, kind: str, keep: float, quick: bool) -> None:
    file = one_of(bundle, kind)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep) if keep == 0.5 else int(keep)])
    faults = _faults(bundle, quick=quick)
    assert file.relative_to(bundle).as_posix() in faults


@pytest.mark.parametrize("keep", [0, 0.1, 0.5, 0.99])
def test_a_truncated_manifest_is_named_and_import_refuses_the_bundle(
    bundle: Path, keep: float, runsync: Runner
) -> None:
    file = one_of(bundle, "manifest")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    assert set(_faults(bundle)) == {file.relative_to(bundle).as_posix()}
    done = runsync("import", bundle, UNREACHABLE, env={"RUNSYNC_PATIENCE": "0"})
    assert (done.returncode, done.stdout) == (12, "")
    assert str(file) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_blob_names_the_runs_that_need_it(bundle: Path) -> None:
    flip(one_of(bundle, "blob"), 7)
    (fault,) = check(bundle).faults
    assert fault.runs == ["first"]
    assert fault.error == "its bytes do not have the hash it is named by"


def test_a_metrics_part_names_the_runs_that_need_it(bundle: Path) -> None:
    one_of(bundle, "metrics part").unlink()
    runs = {run for fault in check(bundle).faults for run in fault.runs}
    assert runs
    assert runs <= {"first", "second"}


def test_files_that_no_snapshot_needs_and_foreign_ones_are_told_apart_and_are_no_fault(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    (bundle / "parts" / "README").write_text("mine too")
    (bundle / "snapshots" / "README.json").write_text("and mine")
    stray = bundle / "blobs" / "b7"
    stray.mkdir(exist_ok=True)
    content = b"left over"
    name = "b7d7db12fd2e3e28a86cb12feab71a80646b2af551a49911a931cf11ec8cb76e"
    (stray / name).write_bytes(content)
    report = check(bundle)
    assert report.unused == [f"blobs/b7/{name}"]
    assert report.foreign == ["notes.txt", "parts/README", "snapshots/README.json"]
    assert report.faults == []


def test_a_foreign_file_among_the_parts_does_not_make_a_sound_snapshot_damaged(bundle: Path) -> None:
    (bundle / "parts" / "README").write_text("mine")
    assert check(bundle).exit_code == 0


def test_several_faults_are_all_told(bundle: Path) -> None:
    flip(one_of(bundle, "blob"), 3)
    one_of(bundle, "metrics part").unlink()
    assert len(_faults(bundle)) == 2


def _more_runs(manifest: dict[str, Any]) -> None:
    manifest["counts"]["runs"] += 1


def _more_points_in_part(manifest: dict[str, Any]) -> None:
    next(part for part in manifest["parts"] if part["metrics"])["metrics"][0]["count"] += 1


def _more_runs_in_part(manifest: dict[str, Any]) -> None:
    manifest["parts"][0]["runs"]["count"] += 1


def _a_part_less(manifest: dict[str, Any]) -> None:
    del manifest["parts"][0]


def _an_experiment_more(manifest: dict[str, Any]) -> None:
    manifest["experiments"]["count"] += 1


def _another_id(manifest: dict[str, Any]) -> None:
    manifest["id"] = "20200101T000000.000Z-000000"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_more_runs, r"its counts do not add up: runs 3 instead of 4$"),
        (_more_points_in_part, r"it holds \d+ points, not \d+"),
        (_more_runs_in_part, r"it holds 1 run, not 2"),
        (_a_part_less, r"its counts do not add up: .*runs 2 instead of 3"),
        (_an_experiment_more, r"it holds 2 experiments, not 3"),
        (_another_id, r"it is the manifest of another snapshot, 20200101T000000.000Z-000000"),
    ],
)
def test_numbers_that_do_not_add_up_are_told(bundle: Path, change: Callable[[Any], None], told: str) -> None:
    edit_manifest(bundle, change)
    faults = _faults(bundle)
    assert any(re.search(told, error) for error in faults.values()), faults


def _first(documents: Documents, **changes: object) -> None:
    documents[0].update(changes)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"status": "DONE"}, "/status"),
        ({"params": {"lr": 0.1}}, "/params/lr"),
        ({"surprise": 1}, "/"),
        ({"artifacts": [{"path": "x", "size": -1, "sha256": "0" * 64}]}, "/artifacts/0/size"),
        ({"artifacts": [{"path": "x", "size": 1, "sha256": None}]}, "/artifacts/0/sha256"),
    ],
)
def test_a_document_that_breaks_its_schema_is_told_with_file_line_and_json_pointer(
    bundle: Path, changes: dict[str, object], pointer: str, runsync: Runner
) -> None:
    part = craft(bundle, one_of(bundle, "runs part"), lambda documents: _first(documents, **changes))
    place = f"{part}:1: not a valid run document at {pointer}: "
    faults = _faults(bundle)
    assert set(faults) == {f"parts/{part.name}"}
    assert place in faults[f"parts/{part.name}"]
    done = runsync("check", bundle)
    assert done.returncode == 12
    assert f"  {place.removeprefix(f'{bundle}/')}" in done.stdout
    inspected = runsync("inspect", bundle)
    assert (inspected.returncode, inspected.stdout) == (12, "")
    assert inspected.stderr.startswith(f"runsync: {place}")
    assert inspected.stderr.count("\n") == 1


def test_a_line_that_is_no_json_is_told_with_its_number(bundle: Path) -> None:
    part = one_of(bundle, "experiments part")
    lines = b"".join(json.dumps(d).encode() + b"\n" for d in documents_in(part))
    part = craft_bytes(bundle, part, lines + b"{not json}\n")
    faults = _faults(bundle)
    assert f"{part}:3: " in faults[f"parts/{part.name}"]


@pytest.mark.parametrize("lines", [b"", b"\n", b"[]\n", b"null\n", b"\xff\xfe\n"])
def test_a_part_of_no_documents_is_told(bundle: Path, lines: bytes) -> None:
    part = craft_bytes(bundle, one_of(bundle, "runs part"), lines)
    faults = _faults(bundle)
    assert faults.keys() & {f"parts/{part.name}", *(f"snapshots/{f.name}" for f in bundle.glob("snapshots/*"))}


WAYS_OUT = ["../../etc/x", "/etc/x", "a/../../x", "..", "a\x00b", ""]


@pytest.mark.parametrize("path", WAYS_OUT)
def test_an_artifact_path_that_leaves_its_folder_is_refused(bundle: Path, path: str) -> None:
    def change(documents: Documents) -> None:
        documents[0]["artifacts"][0]["path"] = path

    runs_with_files = [p for p in bundle.glob(KINDS["runs part"]) if documents_in(p)[0]["artifacts"]]
    part = craft(bundle, runs_with_files[0], change)
    faults = _faults(bundle)
    assert set(faults) == {f"parts/{part.name}"}
    error = faults[f"parts/{part.name}"]
    assert "is refused" in error or "/artifacts/0/path" in error


def test_a_run_of_an_experiment_that_is_not_there_is_told(bundle: Path) -> None:
    craft(bundle, one_of(bundle, "runs part"), lambda documents: _first(documents, experiment_id="77"))
    assert any("is of experiment 77, which is not there" in error for error in _faults(bundle).values())


def test_a_run_whose_points_stand_elsewhere_is_told(bundle: Path) -> None:
    def change(documents: Documents) -> None:
        documents[0]["first_row"] += 1

    with_points = [p for p in bundle.glob(KINDS["runs part"]) if documents_in(p)[0]["metric_points"]]
    craft(bundle, with_points[0], change)
    assert any("are not where they should be" in error for error in _faults(bundle).values())


def test_a_run_that_stands_twice_in_a_snapshot_is_told(bundle: Path) -> None:
    """Else two copies would be made of it."""
    parts = sorted(bundle.glob(KINDS["runs part"]))
    documents = [documents_in(part)[0] for part in parts]
    without = next(i for i, d in enumerate(documents) if not d["metric_points"])
    other = next(d for d in documents if d["metric_points"])

    def change(lines: Documents) -> None:
        lines[0]["run_id"] = other["run_id"]

    craft(bundle, parts[without], change)
    assert any(other["run_id"] in error and "twice" in error for error in _faults(bundle).values())


@pytest.mark.parametrize("command", ["check", "inspect", "import"])
def test_a_bundle_of_a_newer_version_is_refused_with_the_advice_to_upgrade(
    bundle: Path, command: str, runsync: Runner
) -> None:
    edit_marker(bundle, version=2, whatever="comes next")
    done = runsync(command, bundle, *([UNREACHABLE] if command == "import" else []))
    assert (done.returncode, done.stdout) == (12, "")
    assert done.stderr.startswith(f"runsync: {bundle}/runsync.json: the bundle is of version 2")
    assert done.stderr.endswith("upgrade runsync\n")
    assert done.stderr.count("\n") == 1


def test_a_bundle_that_needs_an_unknown_feature_is_refused(bundle: Path, runsync: Runner) -> None:
    edit_marker(bundle, required_features=["encryption"])
    done = runsync("inspect", bundle)
    assert (done.returncode, done.stdout) == (12, "")
    assert done.stderr == (
        f"runsync: {bundle}/runsync.json: the bundle needs the feature “encryption”: upgrade runsync\n"
    )


def test_an_export_never_writes_into_a_bundle_it_does_not_understand(bundle: Path) -> None:
    edit_marker(bundle, version=2)
    before = files_of(bundle)
    with pytest.raises(BundleDamaged, match="upgrade runsync"):
        export_into(bundle, small_source())
    assert files_of(bundle) == before


def test_a_bundle_without_a_finished_snapshot_says_so(bundle: Path, runsync: Runner) -> None:
    forget(f"{bundle}@latest")
    assert check(bundle).exit_code == 0
    done = runsync("inspect", bundle)
    assert done.returncode == 10
    assert done.stderr == (f"runsync: {bundle} holds no finished snapshot: run the export again to finish it\n")


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "other files", "a file"])
@pytest.mark.parametrize("command", ["check", "inspect", "import", "verify"])
def test_what_is_no_bundle_is_told_apart_from_a_broken_one(
    tmp_path: Path, what: str, command: str, runsync: Runner
) -> None:
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("x")
    elif what != "nothing":
        place.mkdir()
    if what == "other files":
        (place / "thesis.doc").write_text("x")
    with pytest.raises(BundleNotFound):
        check(place)
    done = runsync(command, place, *([UNREACHABLE] if command in ("import", "verify") else []))
    assert (done.returncode, done.stdout) == (10, "")
    assert done.stderr.startswith(f"runsync: {place} is ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("what", ["other files", "a file"])
def test_an_export_touches_no_folder_that_is_somebody_elses(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("x")
    else:
        place.mkdir()
        (place / "thesis.doc").write_text("x")
    with pytest.raises(RunsyncError, match=r"place is (a file|not empty)") as caught:
        export_into(place, small_source())
    assert caught.value.exit_code == 2
    assert list(place.iterdir() if place.is_dir() else []) == ([] if what == "a file" else [place / "thesis.doc"])


# Import: whatever is broken, no wrong byte arrives.


def _import(runsync: Runner, bundle: Path, server: MlflowServer, prefix: str) -> tuple[int, str, str]:
    env = {"RUNSYNC_PATIENCE": "3"}
    done = runsync("import", bundle, server.url, "--prefix", prefix, "--json", env=env)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def _arrived(server: MlflowServer, prefix: str) -> dict[str, dict[str, Any]]:
    """The runs that are in the target, by the id they were born with."""
    return {run["origin"]: run for run in Reader(server.url).read([prefix + "*"]).runs.values()}


def test_a_crafted_artifact_path_never_reaches_a_server(
    bundle: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    def change(documents: Documents) -> None:
        documents[0]["artifacts"][0]["path"] = "../../../../../../escaped.txt"

    runs_with_files = [p for p in bundle.glob(KINDS["runs part"]) if documents_in(p)[0]["artifacts"]]
    part = craft(bundle, runs_with_files[0], change)
    code, stdout, _ = _import(runsync, bundle, mlflow3_b, prefix)
    assert code == 3
    (failed,) = json.loads(stdout)["failed"]
    assert failed["error"].startswith(f"{part}:1: artifact path “../../../../../../escaped.txt” is refused")
    assert not list(mlflow3_b.folder.parent.rglob("escaped.txt"))


def test_a_file_with_flipped_bytes_never_arrives_and_its_run_is_named(
    bundle: Path, mlflow3_default: MlflowServer, prefix: str, runsync: Runner
) -> None:
    """Under gunicorn MLflow keeps what came of an upload that was cut; under uvicorn, its default, it does not."""
    file = one_of(bundle, "blob")
    flip(file, 11)
    code, stdout, _ = _import(runsync, bundle, mlflow3_default, prefix)
    report = json.loads(stdout)
    assert code == 3
    (problem,) = report["problems"]
    assert (problem["run_id"], problem["name"]) == ("first", "model/weights.bin")
    assert file.name in problem["reason"]
    arrived = _arrived(mlflow3_default, prefix)
    assert set(arrived) == {"first", "second", "third"}
    assert "model/weights.bin" not in arrived["first"]["artifacts"]


@pytest.mark.parametrize("kind", ["runs part", "metrics part", "experiments part", "missing metrics part"])
def test_import_from_a_broken_part_says_so_and_brings_nothing_wrong(
    bundle: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, kind: str
) -> None:
    file = one_of(bundle, kind.removeprefix("missing "))
    if kind.startswith("missing"):
        file.unlink()
    else:
        flip(file, file.stat().st_size // 2)
    code, _, stderr = _import(runsync, bundle, mlflow3_b, prefix)
    assert code in (3, 12)
    if code == 12:
        assert file.name in stderr
    points = small_source().points
    for origin, run in _arrived(mlflow3_b, prefix).items():
        for key, counter in run["points"].items():
            expected = [(t, s, repr(v)) for s, t, v in points[origin][key]]
            assert set(counter) <= set(expected), f"{origin} {key}"


def _points_read(bundle: Path, run_id: str) -> list[tuple[str, int, int, float]]:
    """The points of a run as an import would read them: key, step, timestamp, value."""
    snapshot = open_snapshot(bundle)
    batches = snapshot.batches(snapshot.experiments(Selection()), Selection())
    batch = next(b for b in batches if b.runs[0].run_id == run_id)
    columns = ("key", "step", "timestamp", "value")
    with ThreadPoolExecutor(1) as pool, snapshot.histories(batch, pool) as histories:
        tables = [[table[c].to_pylist() for c in columns] for table in histories.of(run_id)]
    return [row for table in tables for row in zip(*table, strict=True)]


def test_a_flipped_byte_in_a_metrics_part_never_gives_wrong_points(bundle: Path) -> None:
    """A reader gets the true points, or an error that names the file."""
    file = one_of(bundle, "metrics part")
    sound = file.read_bytes()
    true = [("loss", *point) for point in small_source().points["second"]["loss"]]
    assert _points_read(bundle, "second") == true
    wrong = []
    for position in range(0, len(sound), 9):
        flip(file, position)
        try:
            if _points_read(bundle, "second") != true:
                wrong.append(f"{position}: wrong points")
        except BundleDamaged as error:
            wrong += [] if file.name in str(error) else [f"{position}: {error}"]
        except Exception as error:
            wrong.append(f"{position}: {error!r}")
        file.write_bytes(sound)
    assert wrong == []


@pytest.mark.parametrize("kind", ["runs part", "experiments part"])
def test_an_emptied_part_is_no_part_without_runs(bundle: Path, kind: str, runsync: Runner) -> None:
    file = one_of(bundle, kind)
    file.write_bytes(b"")
    done = runsync("inspect", bundle)
    assert (done.returncode, done.stdout) == (12, "")
    assert file.name in done.stderr


@pytest.mark.parametrize("kind", ["runs part", "metrics part", "experiments part", "blob"])
def test_a_file_of_other_bytes_and_another_size_is_one_fault(bundle: Path, kind: str) -> None:
    file = one_of(bundle, kind)
    file.write_bytes(file.read_bytes()[:-1])
    report = check(bundle)
    (fault,) = report.faults
    assert (fault.file, fault.kind) == (file.relative_to(bundle).as_posix(), "broken")
    assert report.suspects == [fault.file]
