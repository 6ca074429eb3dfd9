"""CSV is exact; for a spreadsheet --csv-safe makes texts of what would be formulas."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Runner
from support.memory import export_into

from runsync.model.experiment import Experiment
from runsync.runs.formats import csv_line
from runsync.testing.memory import MemorySource, run_with_metrics

FORMULAS = ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_becomes_a_text(cell: str) -> None:
    assert _read(csv_line([cell], safe=True)) == [[f"'{cell}"]]
    assert _read(csv_line([cell])) == [[cell]]


@pytest.mark.parametrize("cell", ["-0.5", "+1", "-1e-07", "-Infinity", "1", "a=b", "", "é", "a-b", "-.5"])
def test_numbers_and_all_else_stay(cell: str) -> None:
    assert _read(csv_line([cell], safe=True)) == [[cell]]


@pytest.mark.parametrize(
    "words",
    [("list", "--format", "csv"), ("csv",), ("compare", "aaaa", "bbbb", "--format", "csv")],
    ids=["list", "csv", "compare"],
)
def test_every_command_that_writes_csv_can_do_so(words: tuple[str, ...], runsync: Runner, tmp_path: Path) -> None:
    first = run_with_metrics("a" * 32, {"=m": [(0, 1, -0.5)]}, name="=1+1", params={"@p": "+x"})
    second = replace(first, run_id="b" * 32, name="second")
    export_into(tmp_path / "b", MemorySource([Experiment("1", "-e")], [first, second]))
    command, *rest = words
    exact = runsync("runs", command, "b", *rest).stdout
    safe = runsync("runs", command, "b", *rest, "--csv-safe").stdout
    cells = [cell for row in _read(safe.encode()) for cell in row]
    assert {"'=1+1", "'+x", "-0.5"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert [cell.removeprefix("'") for cell in cells] == [cell for row in _read(exact.encode()) for cell in row]


def _read(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))
