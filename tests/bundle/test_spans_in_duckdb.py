"""The query on spans of docs/format.md and docs/bundles.md is run as it stands there, by DuckDB."""

import json
import re
import time
from pathlib import Path

import pytest
from support.memory import export_into

from runsync.kinds.spans import Span
from runsync.kinds.traces import OK, TRACES, Trace
from runsync.testing.memory import small_source
from runsync.testing.memory_kinds import MemoryTraces

duckdb = pytest.importorskip("duckdb")

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400 * 1_000_000_000


def query(document: str, bundle: Path) -> str:
    """The one in a document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    ((before, after),) = re.findall(
        r"```sql\n(SELECT name, \(end_ns.*?FROM ')\w+(/parts/\*\.spans\.parquet.*?)```", text, re.DOTALL
    )
    return f"{before}{bundle}{after}"


def called(number: int, kind: str, start: int) -> Trace:
    """A call that took so many milliseconds."""
    inputs = {"city": f"Orléans {number}"}
    span = Span(
        span_id=f"{number:016x}",
        otel_trace_id=f"{number:032x}",
        name=f"call {number}",
        start=start,
        end=start + number * 1_000_000,
        attributes={"mlflow.spanType": kind, "mlflow.spanInputs": inputs},
    )
    return Trace(f"tr-{number}", "1", start // 1_000_000, number, OK).with_spans([span])


@pytest.mark.parametrize("document", ["docs/format.md", "docs/bundles.md"])
def test_the_ten_slowest_tool_calls_of_last_week(document: str, tmp_path: Path) -> None:
    now = time.time_ns()
    tools = [called(number, "TOOL", now - DAY) for number in range(1, 13)]
    others = [called(20, "TOOL", now - 8 * DAY), called(21, "LLM", now - DAY)]
    source = small_source()
    source.models = {TRACES.name: MemoryTraces(TRACES, [*tools, *others], {})}
    export_into(tmp_path / "bundle", source)
    rows = duckdb.sql(query(document, tmp_path / "bundle")).fetchall()
    assert [(row[0], row[1]) for row in rows] == [(f"call {number}", number) for number in range(12, 2, -1)]
    assert json.loads(rows[0][2]) == {"city": "Orléans 12"}
    assert rows[0][3] == "tr-12"
