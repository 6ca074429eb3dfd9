"""Runs are named by id, by the beginning of an id, by name, or by EXPERIMENT/NAME, wherever `--run` is taken."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Fleet, Runner
from support.memory import export_into

import runsync
from runsync.errors import Ambiguous, NothingSelected
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.testing.memory import MemorySource, run_with_metrics
from runsync.transfer.find import find_run, resolved
from transfer.conftest import Make

ONE, TWO, THREE, FOUR = "0a1b" + "1" * 28, "0a1c" + "2" * 28, "ffff" + "3" * 28, "frosty_tree"


def _run(run_id: str, home: str, name: str, **fields: object) -> Run:
    return run_with_metrics(run_id, {}, experiment_id=home, name=name, tags={"mlflow.runName": name}, **fields)


def _source(prefix: str = "") -> MemorySource:
    experiments = [Experiment("1", f"{prefix}churn"), Experiment("2", f"{prefix}a/b")]
    runs = [_run(ONE, "1", "best"), _run(TWO, "2", "best"), _run(THREE, "2", "0a1b"), _run(FOUR, "2", "c/d")]
    return MemorySource(experiments, runs, {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ONE, ONE),
        ("0a1b1", ONE),
        ("0a1c", TWO),
        ("churn/best", ONE),
        ("1/best", ONE),
        ("a/b/best", TWO),
        ("a/b/c/d", FOUR),
        ("c/d", FOUR),
        (FOUR, FOUR),
        (f"id:{FOUR}", FOUR),
        ("id:0a1b", ONE),
        ("name:0a1b", THREE),
        ("a/b/0a1b", THREE),
        ("churn/0a1b", ONE),
    ],
)
def test_a_run_is_named_in_any_way(text: str, found: str) -> None:
    assert find_run(_source(), text).run_id == found
    assert resolved(_source(), runsync.Selection(runs=(text,))).runs == (found,)


def test_a_name_of_several_runs_is_refused_with_their_experiments() -> None:
    with pytest.raises(Ambiguous) as caught:
        find_run(_source(), "best")
    assert caught.value.lines == (
        "“best” means 2 runs: say which by id",
        f"  {ONE}  “best” in “churn”",
        f"  {TWO}  “best” in “a/b”",
    )
    within = runsync.Selection(experiments=("churn",), runs=("best",))
    assert resolved(_source(), within).runs == (ONE,)


def test_a_name_that_is_the_beginning_or_the_id_of_another_is_refused() -> None:
    with pytest.raises(Ambiguous, match="“0a1b” means 2 runs"):
        find_run(_source(), "0a1b")
    source = _source()
    source.runs.append(_run("5" * 32, "1", FOUR))
    with pytest.raises(Ambiguous, match=f"“{FOUR}” means 2 runs"):
        find_run(source, FOUR)


def test_of_two_runs_of_a_name_the_one_in_the_state_is_meant() -> None:
    source = MemorySource(
        [Experiment("1", "e")], [_run(ONE, "1", "x"), _run(TWO, "1", "x", lifecycle_stage="deleted")], {}
    )
    assert resolved(source, runsync.Selection(runs=("x",), state="active")).runs == (ONE,)
    assert resolved(source, runsync.Selection(runs=("x",), state="deleted")).runs == (TWO,)


class _Untouched(MemorySource):
    def experiments(self, selection: object) -> list[Experiment]:
        raise AssertionError("asked for the experiments")


def test_whole_ids_cost_no_request() -> None:
    source = _Untouched(**vars(_source()))
    assert resolved(source, runsync.Selection(runs=(ONE, f"id:{TWO}", ONE))).runs == (ONE, TWO)
    assert resolved(source, runsync.Selection(experiments=("churn",))).runs == ()


Place = Callable[[], str]


@pytest.fixture(params=["bundle", "files", "sqlite", "mlflow3_a", "mlflow2_a"])
def place(request: pytest.FixtureRequest, make: Make, fleet: Fleet, tmp_path: Path, prefix: str) -> str:
    """A place of each kind with the runs."""
    kind: str = request.param
    source = _source(prefix)
    source.runs.pop()
    export_into(tmp_path / "all", source)
    if kind == "bundle":
        return str(tmp_path / "all")
    where = fleet.get(kind).url if kind.startswith("mlflow") else make(kind)
    assert runsync.import_(tmp_path / "all", where).exit_code == 0
    return where


def test_export_sync_verify_and_diff_take_names_of_runs(
    place: str, prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    def run(*arguments: object, code: int = 0) -> str:
        done = runsync(*arguments)
        assert done.returncode == code, done
        return done.stderr

    named, is_bundle = ("--run", f"{prefix}churn/best"), place == str(tmp_path / "all")
    run("import" if is_bundle else "sync", place, tmp_path / "mlruns", *named)
    assert runsync("runs", "csv", tmp_path / "mlruns").stdout.count("\n") == 2
    run("verify", place, tmp_path / "mlruns", *named)
    run("diff", place, tmp_path / "mlruns", "--exit-code", *named)
    only = ("--experiment", f"{prefix}*", "--run", "best")
    assert f"in “{prefix}a/b”" in run("import" if is_bundle else "export", place, tmp_path / "new", *only, code=2)
    assert not (tmp_path / "new").exists()
    if not is_bundle:
        run("export", place, tmp_path / "new", *named)
        run("verify", tmp_path / "new", tmp_path / "mlruns", *named)


def test_a_run_that_is_not_there_ends_every_verb_alike(tmp_path: Path) -> None:
    export_into(tmp_path / "b", _source())
    gone = runsync.Selection(runs=("no such",))
    for act in (
        lambda: runsync.import_(tmp_path / "b", str(tmp_path / "mlruns"), selection=gone),
        lambda: runsync.verify(str(tmp_path / "b"), str(tmp_path / "b"), selection=gone),
        lambda: runsync.diff(str(tmp_path / "b"), str(tmp_path / "b"), selection=gone),
        lambda: runsync.list_runs(str(tmp_path / "b"), selection=gone),
    ):
        with pytest.raises(NothingSelected, match="there is no run “no such”"):
            act()
    assert not (tmp_path / "mlruns").exists()
