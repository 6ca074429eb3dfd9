"""A dry run tells what the real one will tell, as far as that shows without writing, and ends with the same code."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Fleet, Runner
from support.memory import export_into
from support.stores import START, Filler, empty_sqlite, opened, run_id

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import DatasetInput, LatestMetric, Run
from runsync.testing.memory import START as BEGUN
from runsync.testing.memory import MemorySource, run_with_metrics
from runsync.transfer.report import TransferReport
from transfer.conftest import Make

PARENT = run_id("parent")
LEFT_OPEN = "What only reading and writing all of it shows is not in this plan."


def told(report: TransferReport) -> dict[str, Any]:
    """What does not arrive, without the words for it."""
    return {
        "code": report.exit_code,
        "stopped": report.stopped,
        "failed": sorted(one["id"] for one in report.failed),
        "pieces": sorted((one["run_id"], one["kind"], one["name"]) for one in report.problems),
        "left": sorted((left.kind, left.count or 0) for left in report.left_behind),
    }


def run_of(folder: Path, label: str) -> str:
    """The id of a run of `store_of`: servers are shared, and ids lead to runs wherever they are."""
    return run_id(f"{folder}: {label}")


def store_of(folder: Path, experiment: Experiment | None = None, **fields: Any) -> str:
    """A file store with a plain run, and one that has these fields and a file."""
    address = str(folder / "mlruns")
    home = experiment or Experiment("101", "home", creation_time=1, last_update_time=2)
    with opened(address) as workspace:
        filler = Filler(workspace)
        id = filler.experiment(home)
        for label, more in (("plain", {}), ("odd", fields)):
            times = (START, START + 9)
            metrics = {m.key: [(m.timestamp, m.step, m.value)] for m in more.get("latest_metrics", ())}
            run = replace(Run(run_of(folder, label), id, label, "ann", "FINISHED", *times), **more)
            filler.run(run, metrics, {"log.txt": b"epoch 1"})
    return address


def link(folder: Path) -> Path:
    """Puts a link that leads nowhere in place of the odd run's file."""
    (file,) = folder.glob(f"mlruns/*/{run_of(folder, 'odd')}/artifacts/log.txt")
    file.unlink()
    file.symlink_to(folder / "nowhere")
    return file


FIELDS: dict[str, dict[str, Any]] = {
    "value of a param": {"params": {"long": "x" * 6001}},
    "key of a param": {"params": {"k" * 251: "1"}},
    "name of a param": {"params": {"a*b": "1"}},
    "name of a metric": {"latest_metrics": (LatestMetric("a*b", 1.0, START, 0),)},
    "time of a metric": {"latest_metrics": (LatestMetric("early", 1.0, -5, 0),)},
    "dataset": {"dataset_inputs": (DatasetInput("train", "d" * 37, "local", "{}"),)},
    "parent that is nowhere": {"tags": {"mlflow.parentRunId": PARENT}},
    "nothing": {},
}


@pytest.mark.parametrize(
    ("release", "verb"),
    [
        ("mlflow3_b", "sync"),
        *(
            pytest.param(*both, marks=pytest.mark.slow)
            for both in (("mlflow3_b", "import"), ("mlflow2_b", "sync"), ("mlflow2_b", "import"))
        ),
    ],
)
def test_of_a_server_its_limits_are_known(release: str, verb: str, fleet: Fleet, tmp_path: Path) -> None:
    url = fleet.get(release).url
    bring: Any = {"sync": runsync.sync, "import": runsync.import_}[verb]
    for number, (name, fields) in enumerate(FIELDS.items()):
        folder = tmp_path / str(number)
        source = store_of(folder, **fields)
        runsync.export(source, folder / "b")
        place: Any = source if verb == "sync" else folder / "b"
        options: Any = {"prefix": f"{tmp_path.name} {name} "}
        planned, again = bring(place, url, dry_run=True, **options), bring(place, url, dry_run=True, **options)
        assert told(planned) == told(again), name
        done = bring(place, url, **options)
        assert told(planned) == told(done), name
        assert done.exit_code == (3 if fields else 0), name
        if not done.failed:
            assert told(bring(place, url, dry_run=True, **options)) == told(done), "also of what is there"


def test_a_parent_that_is_in_the_target_is_found(fleet: Fleet, tmp_path: Path) -> None:
    url, prefix = fleet.get("mlflow3_b").url, f"{tmp_path.name} "
    source = store_of(tmp_path, tags={"mlflow.parentRunId": run_of(tmp_path, "plain")})
    child = runsync.Selection(runs=(run_of(tmp_path, "odd"),))
    planned = runsync.sync(source, url, selection=child, prefix=prefix, dry_run=True)
    assert told(planned)["left"] == [("parent-links", 1)]
    assert runsync.sync(source, url, prefix=prefix, dry_run=True).exit_code == 0, "it comes along"
    runsync.sync(source, url, selection=runsync.Selection(runs=(run_of(tmp_path, "plain"),)), prefix=prefix)
    assert runsync.sync(source, url, selection=child, prefix=prefix, dry_run=True).exit_code == 0, "it is there"


def test_what_no_experiment_of_a_server_may_have_is_told_before(fleet: Fleet, tmp_path: Path) -> None:
    url = fleet.get("mlflow3_b").url
    for name, tags in (("n" * 501, {}), (f"{tmp_path.name} tags", {"t": "x" * 20_001, "*": "", "good": "1"})):
        source = store_of(tmp_path / str(len(name)), Experiment("101", name, tags=tags))
        for _ in range(2):
            planned, done = (runsync.sync(source, url, dry_run=dry) for dry in (True, False))
            assert told(planned) == told(done)
            assert_named(done, tags)


def assert_named(done: TransferReport, tags: Mapping[str, str]) -> None:
    """Of an experiment with these tags: those that it cannot have, or the experiment itself and its runs."""
    assert (done.exit_code, len(done.failed)) == (3, 0 if tags else 3)
    bad = sorted(("101", "tag of experiment", key) for key in tags if key != "good")
    assert told(done)["pieces"] == bad


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_what_no_experiment_of_a_database_may_have_is_told_before(kind: str, make: Make, tmp_path: Path) -> None:
    target = make(kind)
    for name, tags in (("n" * 257, {}), ("key", {"k" * 251: "", "good": "1"})):
        source = store_of(tmp_path / name[:3], Experiment("101", name, tags=tags))
        for _ in range(2):
            planned, done = (runsync.sync(source, target, dry_run=dry) for dry in (True, False))
            assert told(planned) == told(done)
            assert_named(done, tags)


def test_files_of_this_machine_are_looked_at(tmp_path: Path, make: Make, fleet: Fleet, runsync: Runner) -> None:
    api, source = __import__("runsync"), store_of(tmp_path)
    api.export(source, tmp_path / "sound")
    file = link(tmp_path)
    url, options = fleet.get("mlflow3_b").url, {"prefix": f"{tmp_path.name} "}
    brings: list[Callable[[bool], Any]] = [
        lambda dry_run: api.sync(source, make("file store"), dry_run=dry_run),
        lambda dry_run: api.sync(source, url, dry_run=dry_run, **options),
        lambda dry_run: api.export(source, tmp_path / "b", dry_run=dry_run),
    ]
    for bring in brings:
        planned, done = bring(True), bring(False)
        assert told(planned) == told(done)
        assert told(done)["pieces"] == [(run_of(tmp_path, "odd"), "artifact", "log.txt")]
        assert not any("not looked at" in note for note in planned.notes)
    shown = runsync("sync", source, make("file store"), "--dry-run")
    assert shown.returncode == 3
    assert shown.stdout.splitlines()[-1] == (
        f"It would be partly done, but 1 piece would be missing, as listed above. Nothing was written. {LEFT_OPEN}"
    )
    file.unlink()
    assert told(api.sync(source, make("file store"), artifacts=False, dry_run=True))["code"] == 0


def test_blobs_that_a_bundle_lacks_are_told_before(tmp_path: Path, make: Make) -> None:
    runsync.export(store_of(tmp_path), tmp_path / "b")
    (blob,) = (tmp_path / "b").glob("blobs/*/*")
    sound = blob.read_bytes()
    for broken in (None, b"short"):
        blob.unlink()
        if broken is not None:
            blob.write_bytes(broken)
        target = make("file store")
        planned, done = (runsync.import_(tmp_path / "b", target, dry_run=dry) for dry in (True, False))
        assert told(planned) == told(done)
        assert len(told(done)["pieces"]) == 2
        assert runsync.import_(tmp_path / "b", target, artifacts=False, dry_run=True).exit_code == 0
        blob.write_bytes(sound)
    assert runsync.import_(tmp_path / "b", make("file store"), dry_run=True).exit_code == 0


def test_names_of_artifacts_that_a_disk_does_not_take_are_told_before(tmp_path: Path, make: Make) -> None:
    files: dict[str, bytes | None] = {"x" * 256: b"1", "a//b": b"2", "c": b"3", "c/d": b"4", "good": b"5"}
    run = run_with_metrics(run_of(tmp_path, "odd"), {"loss": [(0, BEGUN, 1.0)]})
    source = MemorySource([Experiment("1", "home")], [run], {}, {run.run_id: files})
    export_into(tmp_path / "b", source)
    for target in (make("file store"), make("sqlite")):
        options: Any = {"access": runsync.Access(artifacts=str(tmp_path / "art"))} if "sqlite" in target else {}
        planned, done = (runsync.import_(tmp_path / "b", target, dry_run=dry, **options) for dry in (True, False))
        assert told(planned) == told(done)
        assert [name for _, _, name in told(done)["pieces"]] == ["a//b", "c", "x" * 256]


def test_what_takes_requests_is_not_looked_at_and_the_plan_says_so(
    fleet: Fleet, tmp_path: Path, runsync: Runner
) -> None:
    api, url, prefix = __import__("runsync"), fleet.get("mlflow3_a").url, f"{tmp_path.name} "
    api.sync(store_of(tmp_path), url, prefix=prefix)
    only = ("--experiment", f"{prefix}*", "--dry-run")
    told = "the artifacts of 2 runs were not looked at: that takes requests for each"
    for arguments in (("export", url, "b"), ("sync", url, empty_sqlite(tmp_path / "t.db"), "--artifacts", "art")):
        done = runsync(*arguments, *only)
        assert (done.returncode, done.stdout.splitlines()[-2:]) == (
            0,
            [told, f"Run it without --dry-run to do this. {LEFT_OPEN}"],
        )
        assert told not in runsync(*arguments, *only, "--no-artifacts").stdout


NOTHING = "There is nothing to do."


def last_of(runsync: Runner, *arguments: str, code: int = 0) -> str:
    """The last line of a dry run."""
    shown = runsync(*arguments, "--dry-run")
    assert shown.returncode == code
    return str(shown.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["file store", "sqlite"])
def test_a_plan_of_nothing_says_that_there_is_nothing_to_do(
    kind: str, tmp_path: Path, make: Make, runsync: Runner
) -> None:
    source, target = store_of(tmp_path, tags={"mlflow.parentRunId": PARENT}), make(kind)
    sync = ("sync", source, target, *(("--artifacts", str(tmp_path / "art")) if kind == "sqlite" else ()))
    assert last_of(runsync, *sync) == f"Run it without --dry-run to do this. {LEFT_OPEN}"
    runsync(*sync)
    assert last_of(runsync, *sync) == NOTHING
    shutil.rmtree(next((tmp_path / "mlruns").glob(f"*/{run_of(tmp_path, 'plain')}")))
    assert last_of(runsync, *sync) == NOTHING, "a deletion is not followed unless it is asked for"
    assert (
        last_of(runsync, *sync, "--delete", "--max-delete", "1") == f"Run it without --dry-run to do this. {LEFT_OPEN}"
    )


def test_a_plan_of_nothing_on_a_server(fleet: Fleet, tmp_path: Path, runsync: Runner) -> None:
    url = fleet.get("mlflow3_b").url
    source = store_of(tmp_path, tags={"mlflow.parentRunId": PARENT})
    sync = ("sync", source, url, "--prefix", f"{tmp_path.name} ")
    runsync(*sync)
    left = "1 link to parents. To accept that, add --accept parent-links."
    assert last_of(runsync, *sync, code=3) == f"{NOTHING} Left behind: {left}"
    assert last_of(runsync, *sync, "--accept", "parent-links") == NOTHING
    tag = ("runs", "tag", url, "team=a", "--run", "plain", "--experiment", f"{tmp_path.name} home")
    assert last_of(runsync, *tag) == "Run it without --dry-run to do this."
    runsync(*tag)
    assert last_of(runsync, *tag) == NOTHING


def test_a_plan_of_nothing_for_a_bundle(tmp_path: Path, runsync: Runner) -> None:
    source, bundle = store_of(tmp_path), str(tmp_path / "b")
    (tmp_path / "copy").mkdir()
    export, copy = ("export", source, bundle), ("copy", bundle, str(tmp_path / "copy"))
    todo = "Run it without --dry-run to do this."
    runsync(*export)
    assert last_of(runsync, *export) == f"{todo} {LEFT_OPEN}", "each export makes a snapshot"
    assert last_of(runsync, *export, "--skip-unchanged") == NOTHING
    assert last_of(runsync, *copy) == todo
    runsync(*copy)
    assert last_of(runsync, *copy) == NOTHING
    shutil.rmtree(next((tmp_path / "mlruns").glob(f"*/{run_of(tmp_path, 'plain')}")))
    assert last_of(runsync, *export, "--skip-unchanged") == f"{todo} {LEFT_OPEN}", "what is gone is a change"
