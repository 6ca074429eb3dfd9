"""The table of `verify`: what one cause keeps from being read is one row, and every field can be read."""

import pytest

from runsync.cli.differences import differences_table, field_name
from runsync.model.comparison import IN_TARGET, Difference

OUT = "its artifacts are recorded at s3://gone/1/{}/artifacts, which cannot be reached"


def unread(number: int, field: str, reason: str) -> Difference:
    return Difference.unreadable(("run", f"r{number}", f"run {number}", field), IN_TARGET, reason)


def test_runs_whose_artifacts_one_cause_keeps_back_are_one_row() -> None:
    # The target's own ids stand in the reasons.
    lost = [unread(number, "artifacts", OUT.format(f"{number:032x}")) for number in range(300)]
    files = [unread(n % 2, f"artifacts.a{n}.bin", f"a{n}.bin is refused") for n in range(3)]
    real = [Difference("run", f"r{n}", "x", "params.a", "1", "2") for n in range(2)]
    assert [
        tuple(cell.strip() for cell in row.split("  ") if cell.strip())
        for row in differences_table([*lost, *files, *real])
    ] == [
        ("what", "field", "source", "target"),
        (
            "300 runs, the first: run r0 “run 0”",
            "artifacts",
            f"cannot be read: {OUT.format(f'{0:032x}')}",
        ),
        (
            "2 runs, the first: run r0 “run 0”",
            "3 artifacts, the first: artifacts.a0.bin",
            "cannot be read: a0.bin is refused",
        ),
        ("run r0 “x”", "params.a", "1", "2"),
        ("run r1 “x”", "params.a", "1", "2"),
    ]


def test_what_has_no_id_and_no_name_is_told_by_its_kind() -> None:
    short = Difference("selection", "", "", "runs", "the selection matches 1 run, fewer than 2 (--min-runs)", "")
    lost = Difference("artifacts", "", "./mlruns", "", "none found: see the notes", "")
    assert [row.split("  ")[0] for row in differences_table([short, lost])][1:] == ["selection", "artifacts “./mlruns”"]


def test_what_is_not_shown_is_counted_by_its_differences() -> None:
    lost = [unread(number, "artifacts", "it is gone") for number in range(300)]
    real = [Difference("run", f"r{n}", "x", "params.a", "1", "2") for n in range(25)]
    assert list(differences_table([*lost, *real]))[-1] == "… and 6 more (--json lists all)"


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("params.alpha", "params.alpha"),
        ("artifacts.a/.b", "artifacts.a/.b"),
        ("artifacts.../x", "artifacts “../x”"),
        ("artifacts../x", "artifacts “./x”"),
        ("artifacts..hidden", "artifacts “.hidden”"),
        ("", ""),
    ],
)
def test_a_name_that_begins_with_a_dot_is_told_apart_from_its_field(field: str, told: str) -> None:
    assert field_name(field) == told
