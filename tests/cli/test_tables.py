"""Tables: aligned whatever the script, fit to a terminal, whole in a pipe."""

import tracemalloc
from collections.abc import Iterator

import pytest

from runsync.cli import tables
from runsync.cli.tables import columns_of, cut, folded, narrowed, table
from runsync.model.fields import METRICS, Field, values_of
from runsync.model.printable import printable
from runsync.model.run import LatestMetric, Run

ROWS = [
    ("name", "auc", "note"),
    ("日本語", "0.5", "x"),
    ("cafe\u0301", "12.25", "y"),
    ("👩‍🔬 lab", "–", "z"),
]


def test_columns_line_up_whatever_the_script_and_numbers_stand_right() -> None:
    lines = list(table(ROWS))
    assert len({columns_of(line) for line in lines[:1]} | {columns_of(line[:-1]) for line in lines[1:]}) <= 2
    ends = [columns_of(line[: -len(row[2])]) for line, row in zip(lines, ROWS, strict=True)]
    assert len(set(ends)) == 1
    assert lines[1].endswith("  0.5  x")


def test_nothing_is_cut_in_a_pipe() -> None:
    assert "x" * 500 in "".join(table([("a",), ("x" * 500,)]))


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_wide_table_is_cut_and_folded_to_the_width(width: int) -> None:
    rows = [tuple(f"column {n}" for n in range(9)), tuple("長い" * 20 if n == 1 else "value" * n for n in range(9))]
    lines = list(table(rows, width))
    assert max(columns_of(line) for line in lines) <= width
    for n in range(9):
        assert any(f"column {n}" in line for line in lines)


def test_control_characters_do_no_harm() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"
    assert printable("naïve 日本 👩‍🔬") == "naïve 日本 👩‍🔬"


def test_texts_are_cut_and_folded_by_columns() -> None:
    assert cut("日本語", 5) == "日本…"
    assert cut("abc", 3) == "abc"
    assert list(folded("one two three four", 14, "  ")) == ["  one two", "  three four"]
    assert list(folded("a\n" + "b" * 100, None, "  ")) == ["  a", "  " + "b" * 100]


class _Wide:
    """Rows that are made each time they are gone through."""

    def __iter__(self) -> Iterator[list[str]]:
        yield [f"k{column}" for column in range(300)]
        for row in range(150):
            yield [f"{row}-{column}" for column in range(300)]


def test_a_table_is_not_held_in_memory() -> None:
    tracemalloc.start()
    try:
        lines = sum(1 for _ in table(_Wide()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines == 151
    assert peak < 700_000  # held, its 45,000 cells take 3 MB


def test_a_long_text_of_wide_characters_is_folded_bit_by_bit() -> None:
    """Looking at all that is left for every line took hours."""
    lines = list(folded("表" * 20_000, 80, "  "))
    assert "".join(line[2:] for line in lines) == "表" * 20_000
    assert {columns_of(line) for line in lines[:-1]} == {80}


def test_a_run_with_many_metrics_is_read_in_one_go() -> None:
    metrics = tuple(LatestMetric(f"m{number}", float(number), 0, 0) for number in range(20_000))
    run = Run("a", "1", latest_metrics=metrics)
    fields = [Field(METRICS, metric.key) for metric in metrics]
    assert values_of(fields, run) == [metric.value for metric in metrics]


def test_names_that_begin_alike_are_told_apart_when_they_are_cut() -> None:
    rows = [["name", "n"], ["forecasting-transformer-large-01", "1"], ["forecasting-transformer-large-02", "2"]]
    assert [*table(rows, 20)] == ["name               n", "forecast…large-01  1", "forecast…large-02  2"]
    assert [*table([["x"], ["日本語" * 9 + "1"]], 12)] == ["x", "日本…日本語1"]


def test_a_line_too_wide_for_a_terminal_is_folded_within_its_indent(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "  parent of a name that is long"
    assert [*narrowed(line)] == [line]
    monkeypatch.setattr(tables, "terminal_width", lambda: 20)
    assert [*narrowed(line)] == ["  parent of a name", "  that is long"]
    assert [*narrowed("  short")] == ["  short"]
