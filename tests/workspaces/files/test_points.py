"""Metric files: read as MLflow reads them, at once or line by line, in blocks or whole."""

import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runsync.workspaces.files import read_points
from runsync.workspaces.files.layout import Broken
from workspaces.files.small import make_store
from workspaces.files.told import all_runs, points

TOKENS = st.sampled_from(
    [
        *(
            "1",
            "-2",
            "+3",
            "007",
            "1e3",
            "0.5",
            "nan",
            "inf",
            "-inf",
            "-nan",
            "1e400",
            "1_0",
            "0x1f",
            "",
            "-",
            "e",
            "a",
        ),
        *("1e-320", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "NaN", "Infinity", "٣", "5."),
    ]
)
LINES = st.lists(TOKENS, min_size=1, max_size=6).map(" ".join)
ENDS = st.sampled_from(["\n", "\n", "\r\n", " \n"])
FILES = st.lists(st.tuples(LINES, ENDS).map("".join), max_size=5).map("".join)
PLAIN = st.builds("{} {!r} {}\n".format, st.integers(0, 2**62), st.floats(), st.integers(-(2**62), 2**62))


def as_mlflow(line: str) -> tuple[int, str, int]:
    """As `FileStore._get_metric_from_line`, but that a point with a dataset keeps its step."""
    parts = line.strip().split(" ")
    if len(parts) not in (2, 3) and len(parts) < 5:
        raise ValueError(line)
    timestamp, step = int(parts[0]), int(parts[2]) if len(parts) > 2 else 0
    if max(abs(timestamp), abs(step)) >= 2**63 and -(2**63) not in (timestamp, step):
        raise ValueError(line)
    return timestamp, repr(float(parts[1])), step


@given(st.one_of(FILES, st.lists(PLAIN, max_size=20).map("".join)))
@example("1 nan 2\n1 -inf 2\n")
@example("1 2 3\n\n1 2 3\n")
@example("1 2\n")
def test_a_metric_file_is_read_as_mlflow_reads_its_lines(text: str) -> None:
    try:
        wanted = [as_mlflow(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        with pytest.raises(Broken, match=r"line .* is no point of a metric"):
            read_points.parse(text.encode())
        return
    read = read_points.parse(text.encode())
    rows = zip(read.timestamp.to_pylist(), map(repr, read.value.to_pylist()), read.step.to_pylist(), strict=True)
    assert list(rows) == wanted


def test_a_file_of_many_blocks_is_read_whole_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    metrics = tmp_path / "mlruns/0/run/metrics"
    rows = [(1000 + i // 3, math.sin(i), i) for i in range(5000)]
    lines = [f"{t} {v!r} {s}\n" for t, v, s in rows]
    lines[10:13] = reversed(lines[10:13])
    (metrics / "long").write_text("".join(lines))
    (metrics / "long2").write_text("".join(lines) + "5 0.")
    (metrics / "late").write_text(f"{10**9} 1.0 9\n" + "".join(lines[:1000]))
    whole, latest = points(store, "run"), all_runs(store)[0].latest_metrics
    for block, first in ((2000, 64), (3001, 3001), (10_000, 100)):
        monkeypatch.setattr(read_points, "BLOCK", block)
        monkeypatch.setattr(read_points, "_FIRST", first)
        store.refresh()
        told = points(store, "run")
        assert told["long"] == told["long2"] == whole["long"] == [[t, repr(v), s] for t, v, s in rows]
        assert sorted(told["late"]) == sorted(whole["late"])
        assert all_runs(store)[0].latest_metrics == latest
    (metrics / "long").write_text("".join(lines[:900]) + "oops\n" + "".join(lines[900:]))
    store.refresh()
    with pytest.raises(Exception, match=r"metric long of run run cannot be read: line .* oops"):
        points(store, "run")
    (metrics / "long").write_text("1" * 50_000 + "\n")
    with pytest.raises(Exception, match="a line longer than any that MLflow writes"):
        points(store, "run")


def test_the_latest_point_is_that_of_the_greatest_step_then_time_then_value(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    metrics = tmp_path / "mlruns/0/run/metrics"
    cases = {
        "step": ("9 1.0 1\n5 2.0 2\n", (5, "2.0", 2)),
        "time": ("9 1.0 2\n5 2.0 2\n", (9, "1.0", 2)),
        "value": ("9 1.0 2\n9 2.0 2\n9 -inf 2\n", (9, "2.0", 2)),
        "nan": ("9 nan 2\n9 -1.0 2\n", (9, "nan", 2)),
        "nan2": ("9 nan 2\n9 1.0 2\n", (9, "1.0", 2)),
        "minus": ("9 1.0 -2\n9 2.0 -3\n", (9, "1.0", -2)),
    }
    for key, (text, _) in cases.items():
        (metrics / key).write_text(text)
    (run,) = all_runs(store)
    told = {m.key: (m.timestamp, repr(m.value), m.step) for m in run.latest_metrics}
    assert {key: told[key] for key in cases} == {key: wanted for key, (_, wanted) in cases.items()}
