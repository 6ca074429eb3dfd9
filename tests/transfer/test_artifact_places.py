"""Artifacts that are looked for where they are not: never taken for none without a word."""

from pathlib import Path

from workspaces.files.small import arrival, make_store, run_of

from runsync.bundle.address import Access
from runsync.transfer.export import export
from runsync.transfer.report import PARTLY_DONE, TransferReport

RUN = "1" * 32


def store_with(tmp_path: Path, folder: Path) -> None:
    """The file store `mlruns` with one run, whose one file lies in `folder`, as it records."""
    store = make_store(tmp_path / "mlruns")
    assert store.write_runs([arrival(run_of(RUN, artifact_uri=folder.as_uri(), dataset_inputs=()))]) == {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_bytes(b"a")


def exported(tmp_path: Path, artifacts: Path | None = None) -> TransferReport:
    return export(str(tmp_path / "mlruns"), tmp_path / "backup", access=Access(artifacts=str(artifacts or "")))


def test_a_place_that_lacks_what_lies_where_it_is_recorded_is_refused(tmp_path: Path) -> None:
    store_with(tmp_path, tmp_path / "mlruns/0" / RUN / "artifacts")
    (tmp_path / "other").mkdir()
    report = exported(tmp_path, tmp_path / "other")
    assert (report.artifacts, report.exit_code) == (0, PARTLY_DONE)
    assert "correct --artifacts, or leave it out" in str(report.problems)
    report = exported(tmp_path)
    assert (report.artifacts, report.exit_code, report.notes) == (1, 0, [])


def test_a_recorded_root_that_is_gone_is_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    store_with(tmp_path, root / "0" / RUN / "artifacts")
    root.rename(tmp_path / "elsewhere")
    report = exported(tmp_path)
    assert report.artifacts == 0
    (note,) = report.notes
    assert note.startswith("no run of the 1 looked at")
    assert note.endswith(f"below {root}: if they have artifacts, that is not their root (it does not exist)")
