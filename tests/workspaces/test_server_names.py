"""Names of artifacts on real servers: which survive is known, and those that do not go there under other names."""

import io
from pathlib import Path

import pytest
from support.memory import export_into
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import Filler, opened, run_id

import runsync
from runsync.bundle.address import Access
from runsync.errors import RequestRefused
from runsync.model.artifact_names import sent_name
from runsync.model.experiment import Experiment
from runsync.model.run import ArtifactFile, Run
from runsync.model.selection import Selection
from runsync.testing.memory import MemorySource
from runsync.transfer.places import open_workspace
from runsync.workspaces.rest import artifacts
from runsync.workspaces.rest.artifacts import ArtifactStore
from runsync.workspaces.rest.names import unfit
from runsync.workspaces.rest.workspace import RestWorkspace

IMAGE = "images/loss%step%{}%timestamp%1700000000000%{}1b2c3d-0000-4000-8000-000000000000.png"
KEPT = (
    *("m:loss.png", "C:\\x", "..\\x", "100%.txt", "c%zz", "a?b", "a;b", "b c/d", " e", "~", "f;g/h", "s3:x/y"),
    *("ü/日本", "1%00", "2%08", "3%0b", "4%0e", "5%16", "6%1f", "7%7f", IMAGE.format(0, "1f"), IMAGE.format(1, "7f")),
)
CHANGED = (
    *("g#h", "i%20j", "k%41l", "m%09n", "o%0Bp", "q%80r", "s%C3%BCt", "u%2fv", "w%2541x", "y?", "z;", "a1;?b", "a2\tb"),
    *("a3\x01b", "a4\nb", " f/g", "Ab:x/y", "h?/i", "j;/k", "l%20m/n", IMAGE.format(2, "8a"), IMAGE.format(3, "0a")),
)
SERVERS = pytest.mark.parametrize("name", ["mlflow3_default", "mlflow2_b"])


@SERVERS
def test_what_is_known_of_names_is_what_servers_do(
    name: str, prefix: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are written, in one run, as if nothing was known; then listed and read back."""
    server: MlflowServer = request.getfixturevalue(name)
    monkeypatch.setattr(artifacts, "_check_name", lambda path, below_root: None)
    monkeypatch.setattr(artifacts, "unfit_folder", lambda path: None)
    with Seeder(server.url) as seeder:
        made = seeder.create_run(seeder.create_experiment(prefix + "probe"), "names")
        info = seeder.get_run(made)["info"]
    run = Run(made, info["experiment_id"], artifact_uri=info["artifact_uri"])
    workspace = open_workspace(server.url)
    assert isinstance(workspace, RestWorkspace)
    store = workspace.artifact_store
    assert isinstance(store, ArtifactStore)
    written = [path for path in (*KEPT, *CHANGED) if _write(store, run, path)]
    listed = {file.path for file in store.list(run)}
    survived = [path for path in written if path in listed and _read(store, run, path) == path.encode()]
    workspace.close()
    assert survived == list(KEPT)
    assert [path for path in (*KEPT, *CHANGED) if unfit(path, below_root=True) is None] == list(KEPT)


def _write(store: ArtifactStore, run: Run, path: str) -> bool:
    content = path.encode()
    try:
        store.write(run, path, len(content), lambda: io.BytesIO(content))
    except RequestRefused:
        return False
    return True


def _read(store: ArtifactStore, run: Run, path: str) -> bytes:
    try:
        return b"".join(store.read(run, ArtifactFile(path, len(path.encode()))))
    except RequestRefused:
        return b""


def test_where_the_whole_path_is_given_by_itself_more_is_changed() -> None:
    """As by upload-artifact and get-artifact, tried on 3.17.2 and 2.22.5."""
    assert [path for path in KEPT if unfit(path, below_root=False)] == ["C:\\x", " e"]
    others = ("file:x", "http:x", "C:x", "c:\\x", "%1bx", "\\\\host\\share\\x")
    assert all(unfit(path, below_root=False) for path in others)
    assert all(unfit(f"{path}/y", below_root=True) for path in others), "a folder is listed by itself"


def _source(folder: Path, label: str, files: dict[str, bytes]) -> str:
    with opened(f"{folder}/store") as workspace:
        filler = Filler(workspace)
        filler.default()
        experiment = filler.experiment(Experiment("5", label))
        run = Run(run_id(label), experiment, "odd", status="FINISHED", start_time=2**40, end_time=2**40)
        filler.run(run, files=files)
    return f"{folder}/store"


@pytest.mark.parametrize("name", ["mlflow3_default", pytest.param("mlflow2_b", marks=pytest.mark.slow)])
def test_names_that_a_server_would_change_go_there_under_others_and_come_back(
    name: str, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: MlflowServer = request.getfixturevalue(name)
    files = {path: path.encode() for path in (*KEPT, *CHANGED, "i j", "kAl")} | {"empty#": b""}
    renamed, chosen = {*CHANGED, "empty#"}, Selection(experiments=(f"{prefix}odd",))
    source = _source(tmp_path, f"{prefix}odd", files)
    planned = runsync.sync(source, server.url, selection=chosen, dry_run=True)
    done = runsync.sync(source, server.url, selection=chosen, verify_artifacts=True)
    foretold = [note.replace("would be stored", "stored") for note in planned.notes if "under another name" in note]
    assert (foretold, planned.problems) == ([note for note in done.notes if "under another name" in note], [])
    assert (done.exit_code, done.artifacts, done.problems) == (0, len(files), [])
    (note,) = [note for note in done.notes if "under another name" in note]
    assert note.startswith(f"{len(renamed)} artifacts")
    (there,) = done.id_map["runs"].values()
    # On the server they lie under the names that the tag tells.
    root = next(server.artifact_root.rglob(f"{there}/artifacts"))
    on_disk = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert on_disk == {sent_name(path) if path in renamed else path: content for path, content in files.items()}
    # Nothing of it is a difference, and nothing goes there twice.
    assert runsync.verify(source, server.url, selection=chosen, verify_artifacts=True).exit_code == 0
    again = runsync.sync(source, server.url, selection=chosen, thorough=True)
    assert (again.exit_code, again.artifacts) == (0, 0)
    # Whoever reads the run gets the names back.
    assert runsync.export(server.url, tmp_path / "back", selection=chosen).artifacts == len(files)
    got = runsync.get_artifacts(str(tmp_path / "back"), there, into=tmp_path / "out")
    assert (got.exit_code, {file.path for file in got.files}) == (0, set(files))
    assert all((tmp_path / "out" / path).read_bytes() == content for path, content in files.items())
    database, roots = f"sqlite:///{server.folder}/mlflow.db", Access(artifacts=str(server.artifact_root))
    assert {file.path for file in runsync.list_artifacts(database, there, access=roots).files} == set(files)
    # A further one goes beside them; one that is called as another was sent is no reason to write over that.
    (late,) = Path(source).glob(f"*/{run_id(prefix + 'odd')}/artifacts")
    (late / "late#.txt").write_bytes(b"late")
    (late / sent_name("g#h")).write_bytes(b"mine")
    planned = runsync.sync(source, server.url, selection=chosen, thorough=True, dry_run=True)
    more = runsync.sync(source, server.url, selection=chosen, thorough=True)
    assert (planned.exit_code, [one["name"] for one in planned.problems]) == (3, [sent_name("g#h")])
    assert (more.exit_code, more.artifacts) == (3, 1)
    assert [problem["name"] for problem in more.problems] == [sent_name("g#h")]
    assert (root / sent_name("g#h")).read_bytes() == b"g#h"


def test_a_file_beside_a_folder_of_its_name_goes_under_another(
    mlflow3_b: MlflowServer, prefix: str, tmp_path: Path
) -> None:
    """A bundle of S3 holds both, and an empty object that stands for a folder."""
    id = run_id(prefix)
    files = {"model": b"", "model/MLmodel": b"x: 1", "plots": b"a file", "plots/a.png": b"a"}
    run = Run(id, "1", "both", status="FINISHED", start_time=2**40, end_time=2**40)
    export_into(tmp_path / "b", MemorySource([Experiment("1", f"{prefix}both")], [run], files={id: {**files}}))
    done = runsync.import_(tmp_path / "b", mlflow3_b.url)
    assert (done.exit_code, done.artifacts, done.problems) == (0, 3, [])
    assert [note.partition(" left out")[0] for note in done.notes if "(model)" in note] == ["1 empty file"]
    there = done.id_map["runs"][id]
    listed = runsync.list_artifacts(mlflow3_b.url, there)
    assert [(file.path, file.size) for file in listed.files] == [("model/MLmodel", 4), ("plots", 6), ("plots/a.png", 1)]
    assert runsync.verify(str(tmp_path / "b"), mlflow3_b.url, verify_artifacts=True).exit_code == 0
    assert runsync.import_(tmp_path / "b", mlflow3_b.url).artifacts == 0


def test_what_lies_in_the_servers_storage_under_such_a_name_is_named_and_never_mistaken(
    mlflow3_a: MlflowServer, prefix: str, tmp_path: Path
) -> None:
    """Asked for `x%20y`, a server gives `x y`; asked for the folder `j;`, it lists `j`."""
    with Seeder(mlflow3_a.url) as seeder:
        made = seeder.create_run(seeder.create_experiment(f"{prefix}lies"), "lies")
        seeder.put_artifact(made, "x y", b"other")
    root = next(mlflow3_a.artifact_root.rglob(f"{made}/artifacts"))
    (root / "j;").mkdir()
    for path in ("x%20y", "a#b", "j;/k"):
        (root / path).write_bytes(b"bytes")
    done = runsync.export(mlflow3_a.url, tmp_path / "b", selection=Selection(experiments=(f"{prefix}lies",)))
    assert (done.exit_code, done.artifacts) == (3, 1)
    assert sorted(problem["name"] for problem in done.problems) == ["a#b", "j;", "x%20y"]
