"""What a snapshot lacks since its export is told of the runs and experiments that a selection may mean, and no more."""

from dataclasses import replace
from pathlib import Path

from support.memory import export_into

from runsync.bundle.bundle import open_bundle
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.testing.memory import small_source


def test_a_selection_of_other_runs_or_experiments_lacks_nothing(tmp_path: Path) -> None:
    export_into(tmp_path / "b", small_source())
    bundle = open_bundle(tmp_path / "b")
    lost = [
        {"kind": "run", "id": "a", "name": "place", "error": "x"},
        {"kind": "run", "id": "b", "name": "place", "error": "x"},
        {"kind": "experiment", "id": "7", "name": "churn", "error": "x"},
    ]
    manifest = replace(bundle.manifest(bundle.snapshot_ids()[-1]), failed=tuple(lost))

    def told(runs: tuple[str, ...] = (), experiments: tuple[str, ...] = ()) -> list[tuple[str, int | None]]:
        return [(left.what, left.count) for left in manifest.lacks(Selection(runs=runs, experiments=experiments))]

    assert told() == [("runs", 2), ("experiment", 1)]
    assert told(runs=("c",)) == [("experiment", 1)]
    assert told(experiments=("other",)) == [("runs", 2)], "which experiment a run is of is not known"
    for asked in ("churn", "ch*", "7", "id:7", "name:churn"):
        assert told(experiments=(asked,)) == [("runs", 2), ("experiment", 1)]


def test_nouns_agree() -> None:
    assert many(2, "part of runs") == "2 parts of runs"
    assert many(2, "tag of experiment") == "2 tags of experiments"
    assert (many(2, "permissions"), many(1, "tag of experiment")) == ("2 permissions", "1 tag of experiment")
