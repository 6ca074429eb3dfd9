"""What no document and no metrics part can hold fails the run that has it, by name, and never the export."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.memory import export_into

from runsync.bundle.check import check
from runsync.model.run import LatestMetric, Run
from runsync.testing.memory import START, MemorySource, run_with_metrics, small_source

ODD: dict[str, Callable[[Run], Run]] = {
    "begun after all time": lambda run: replace(run, start_time=10**20),
    "ended beyond 63 bits": lambda run: replace(run, end_time=2**63),
    "deleted before all time": lambda run: replace(run, deleted_time=-(2**64)),
    "of a status that nobody knows": lambda run: replace(run, status="ODD"),
    "with a param that is no Unicode": lambda run: replace(run, params={"p": "\udce9"}),
    "with a tag whose name is no Unicode": lambda run: replace(run, tags={"\udce9": "x"}),
    "with a latest step beyond 64 bits": lambda run: replace(run, latest_metrics=(LatestMetric("m", 1.0, 0, 10**30),)),
    "without an id": lambda run: replace(run, run_id=""),
}


@pytest.mark.parametrize("odd", list(ODD))
def test_a_run_that_no_document_can_hold_fails_alone(tmp_path: Path, odd: str) -> None:
    source = small_source()
    source.batch_size = 3
    source.runs[0] = ODD[odd](source.runs[0])
    report = export_into(tmp_path / "bundle", source)
    assert (report.exit_code, report.stopped, [failed["id"] for failed in report.failed]) == (
        3,
        "",
        [source.runs[0].run_id],
    )
    assert check(tmp_path / "bundle").exit_code == 0
    assert export_into(tmp_path / "bundle", source).exit_code == 3
    assert check(tmp_path / "bundle").exit_code == 0


@pytest.mark.parametrize("point", [(10**20, 0, 1.0), (0, 2**63, 1.0), (-(2**63) - 1, 0, 1.0)])
def test_a_point_beyond_64_bits_fails_its_run_alone(tmp_path: Path, point: tuple[int, int, float]) -> None:
    runs = [run_with_metrics("odd", {}), run_with_metrics("good", {"m": [(0, START, 1.0)]})]
    points = {"odd": {"m": [point]}, "good": {"m": [(0, START, 1.0)]}}
    source = MemorySource(small_source().all_experiments, runs, points, batch_size=2)
    report = export_into(tmp_path / "bundle", source)
    assert (report.exit_code, [(failed["id"], "64" in failed["error"]) for failed in report.failed]) == (
        3,
        [("odd", False)],
    )
    assert check(tmp_path / "bundle").exit_code == 0


@pytest.mark.parametrize("odd", [{"name": ""}, {"creation_time": 2**63}, {"tags": {"t": "\udce9"}}, {"name": "\udce9"}])
def test_an_experiment_that_no_document_can_hold_fails_with_its_runs_and_no_others(
    tmp_path: Path, odd: dict[str, object]
) -> None:
    source = small_source()
    source.all_experiments[0] = replace(source.all_experiments[0], **odd)  # type: ignore[arg-type]
    report = export_into(tmp_path / "bundle", source)
    assert (report.exit_code, report.stopped) == (3, "")
    assert {(failed["kind"], failed["id"]) for failed in report.failed} == {
        ("experiment", "1"),
        ("run", "first"),
        ("run", "second"),
    }
    assert check(tmp_path / "bundle").exit_code == 0


def test_the_first_and_the_last_of_all_times_are_kept(tmp_path: Path) -> None:
    edge = {"m": [(-(2**63), -(2**63), 1.0), (2**63 - 1, 2**63 - 1, 2.0)]}
    run = run_with_metrics("edge", edge, start_time=-(2**63), end_time=2**63 - 1)
    source = MemorySource(small_source().all_experiments, [run], {"edge": edge})
    assert export_into(tmp_path / "bundle", source).exit_code == 0
    assert check(tmp_path / "bundle").exit_code == 0
