"""A broken piece of a run, at the source: it is one failed item, and the run arrives with the rest."""

from pathlib import Path

from support.stores import empty_sqlite, opened
from workspaces.files.small import make_store

import runsync
from runsync.bundle.check import check
from runsync.model.selection import Selection

PIECES = {("param", "bad"), ("tag", "x/bad"), ("metric", "bad"), ("field", "end_time"), ("input", "x")}


def broken_store(folder: Path) -> str:
    """A run of which one piece of each kind is broken, beside one that is whole."""
    make_store(folder, "bad", "good")
    run = folder / "0/bad"
    for name, content in {
        "params/bad": b"\xff",
        "tags/x/bad": b"\xff",
        "metrics/bad": b"1 2 3\n1 two 3\n1 2 3\n",
        "inputs/x/meta.yaml": b"[",
    }.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(content)
    meta = (run / "meta.yaml").read_text()
    (run / "meta.yaml").write_text("".join(f"{line}\n" for line in meta.splitlines() if "end_time" not in line))
    with (run / "meta.yaml").open("a") as file:
        file.write("end_time: noon\n")
    return str(folder)


def test_a_broken_piece_is_one_failed_item_each_time_and_the_run_goes_with_the_rest(tmp_path: Path) -> None:
    source, bundle, target = broken_store(tmp_path / "mlruns"), tmp_path / "bundle", empty_sqlite(tmp_path / "t.db")
    for created, unchanged in ((2, 0), (0, 1)):
        done = runsync.export(source, bundle, artifacts=False)
        assert (done.runs.created, done.runs.failed, done.exit_code) == (created, 0, 3)
        assert {(p["run_id"], p["kind"], p["name"]) for p in done.problems} == {("bad", *piece) for piece in PIECES}
        assert len(done.problems) == len(PIECES)
        assert done.runs.unchanged >= unchanged
    assert check(bundle).faults == []
    assert runsync.import_(bundle, target, artifacts=False).runs.created == 2
    for again in (False, True):
        done = runsync.sync(source, target, artifacts=False)
        assert (done.runs.failed, len(done.problems), done.exit_code) == (0, len(PIECES), 3), again
    with opened(target) as place:
        runs = {
            run.run_id: run
            for batch in place.batches(place.experiments(Selection()), Selection())
            for run in batch.runs
        }
        assert runs["bad"].params == runs["good"].params
        assert {m.key for m in runs["bad"].latest_metrics} == {"loss", "val/acc"}
    listed = runsync.list_runs(source)
    assert ({run.run_id for run in listed.runs}, listed.exit_code) == ({"bad", "good"}, 3)
    assert {one.kind for one in listed.unreadable} == {f"{kind} of run" for kind, _ in PIECES}
    told = runsync.verify(source, target, artifacts=False)
    assert told.exit_code == 4
    assert len([d for d in told.differences if "cannot be read" in d.source]) == len(PIECES)
    accepted = runsync.verify(source, target, artifacts=False, accept=["missing-pieces"])
    assert (accepted.exit_code, accepted.differences, accepted.accepted[0].count) == (0, [], len(PIECES))


def test_a_piece_that_is_mended_arrives_the_next_time(tmp_path: Path) -> None:
    source, bundle = broken_store(tmp_path / "mlruns"), tmp_path / "bundle"
    runsync.export(source, bundle, artifacts=False)
    for name, content in {"params/bad": b"1", "tags/x/bad": b"2", "metrics/bad": b"1 2 3\n"}.items():
        (tmp_path / "mlruns/0/bad" / name).write_bytes(content)
    (tmp_path / "mlruns/0/bad/inputs/x/meta.yaml").unlink()
    meta = tmp_path / "mlruns/0/bad/meta.yaml"
    meta.write_text(meta.read_text().replace("noon", "5"))
    done = runsync.export(source, bundle, artifacts=False)
    assert (done.problems, done.exit_code, done.runs.updated) == ([], 0, 1)
    (run,) = (run for run in runsync.list_runs(str(bundle)).runs if run.run_id == "bad")
    assert (run.params["bad"], run.tags["x/bad"], run.end_time) == ("1", "2", 5)
