"""Tables: aligned whatever the script, fit to a terminal, whole in a pipe."""

import pytest

from runsync.cli.tables import columns_of, cut, folded, table
from runsync.model.printable import printable

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
