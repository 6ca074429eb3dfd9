"""Traces in bundles: kept with their spans, shared between snapshots, checked, pruned, copied, repaired."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.damage import flip
from support.memory import export_into

from runsync.bundle import entity_part
from runsync.bundle.check import check
from runsync.bundle.copy import copy
from runsync.bundle.forget import forget
from runsync.bundle.inspect import inspect
from runsync.bundle.manifest import Manifest
from runsync.bundle.prune import prune
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import RequestRefused
from runsync.kinds.assessments import EXPECTATION, Assessment, AssessmentError
from runsync.kinds.spans import ERROR, Span, SpanEvent, SpanLink
from runsync.kinds.traces import IN_PROGRESS, OK, TRACES, Trace
from runsync.model.run import ArtifactFile
from runsync.testing.memory import MemorySource, small_source
from runsync.testing.memory_kinds import MemoryTraces

NANOSECONDS = 1_700_000_000_123_456_789
ODD: dict[str, Any] = {
    "none": None,
    "on": True,
    "one": 1,
    "one point": 1.0,
    "big": 2**70,
    "nan": math.nan,
    "far": [math.inf, -math.inf, {"deep": ["漢", "\x01", "\ud800"]}],
    "mlflow.spanType": "TOOL",
    "mlflow.experimentId": "1",
}


def span(number: int, **fields: Any) -> Span:
    told: dict[str, Any] = {"name": f"step {number}", "start": NANOSECONDS + number, "end": NANOSECONDS + 10}
    return Span(f"{number:016x}", "ab" * 16, **{**told, **fields})


def rich() -> Trace:
    spans = (
        span(1, attributes=ODD, kind="SPAN_KIND_CLIENT", trace_state="a=1", flags=1, further={"droppedLinks": 2}),
        span(2, parent_id=f"{1:016x}", status=ERROR, status_message="no", end=None),
        span(
            3,
            parent_id="f" * 16,  # there is none
            events=(SpanEvent("tick", NANOSECONDS + 5, {"n": 1, "l": ["a"]}),),
            links=(SpanLink("tr-1", "0" * 16, {"w": 1.5}), SpanLink("tr-2", "1" * 16)),
        ),
    )
    assessments = (
        Assessment("a-1", "quality", value={"a": [1, None, 2.0]}, source_type="HUMAN", valid=False, rationale="r"),
        Assessment("a-2", "quality", value=math.nan, overrides="a-1", error=AssessmentError("X", "m", "s")),
        Assessment("a-3", "answer", EXPECTATION, value=2**70, metadata={"k": "v"}),
    )
    made = Trace("tr-rich", "1", 1_700_000_000_123, 5, OK, "c-1", "in", "out", {"mlflow.sourceRun": "first"}, {"t": ""})
    made = replace(made, assessments=assessments, linked_runs=("second",), linked_prompts=("greeting/2",))
    return made.with_spans(spans)


def plain(number: int, spans: int = 2, **fields: Any) -> Trace:
    made = Trace(f"tr-{number:06d}", "1", number, 1, **{"state": OK, **fields})
    return made.with_spans([span(n) for n in range(1, spans + 1)])


def source_of(*traces: Trace, contents: Any = None) -> MemorySource:
    source = small_source()
    source.models = {TRACES.name: MemoryTraces(TRACES, list(traces), contents or {})}
    return source


def held(source: MemorySource) -> MemoryTraces:
    traces = source.models[TRACES.name]
    assert isinstance(traces, MemoryTraces)
    return traces


def traces_in(bundle: Path) -> dict[str, Trace]:
    side = open_snapshot(bundle).entities(TRACES)
    return {item.trace_id: side.complete(item) for item in side.all()}


def newest(bundle: Path) -> Manifest:
    return open_snapshot(bundle).manifest


def rows_files(bundle: Path) -> list[Path]:
    return sorted((bundle / "parts").glob("*.spans.parquet"))


@pytest.fixture
def source() -> MemorySource:
    contents = {("tr-rich",): {"attachments/x": b"an image"}}
    return source_of(rich(), plain(1), plain(2, 0), plain(3, state=IN_PROGRESS), contents=contents)


@pytest.fixture
def bundle(source: MemorySource, tmp_path: Path) -> Path:
    assert export_into(tmp_path / "b", source).exit_code == 0
    return tmp_path / "b"


def test_a_trace_is_kept_exactly(bundle: Path) -> None:
    found, wanted = traces_in(bundle), rich()
    kept = found["tr-rich"]
    assert kept.spans is not None
    assert wanted.spans is not None
    assert repr(kept.spans) == repr(wanted.spans), "also which number is an integer, and what is no number"
    assert repr(kept.assessments) == repr(wanted.assessments)
    assert [(file.path, file.size) for file in kept.artifacts or ()] == [("attachments/x", 8)]
    without = replace(kept, artifacts=None, assessments=(), spans=None)
    assert without == replace(wanted, artifacts=None, assessments=(), spans=None)
    assert found["tr-000002"].spans == ()


def test_columns_of_spans_can_be_queried(bundle: Path) -> None:
    (file,) = rows_files(bundle)
    table = pq.read_table(file).to_pylist()
    tool = next(row for row in table if row["type"] == "TOOL")
    assert (tool["trace_id"], tool["kind"], tool["start_ns"]) == ("tr-rich", "SPAN_KIND_CLIENT", NANOSECONDS + 1)
    assert [row["parent_span_id"] for row in table if row["trace_id"] == "tr-000001"] == [None, None]


def test_a_night_writes_the_traces_that_changed_and_looks_again_at_those_that_ran(
    bundle: Path, source: MemorySource
) -> None:
    before, traces = rows_files(bundle), held(source)
    traces.completed.clear()
    report = export_into(bundle, source)
    assert (report.objects["traces"].unchanged, report.objects["traces"].updated) == (4, 0)
    assert traces.completed == ["tr-000003"]
    assert rows_files(bundle) == before
    traces.items[1] = replace(traces.items[1], tags={"later": "1"})
    traces.items[3] = plain(3, 3)
    report = export_into(bundle, source)
    assert (report.objects["traces"].unchanged, report.objects["traces"].updated) == (2, 2)
    (new,) = set(rows_files(bundle)) - set(before)
    assert pq.read_metadata(new).num_rows == 5
    assert traces_in(bundle)["tr-000001"].tags == {"later": "1"}
    assert len(traces_in(bundle)["tr-000003"].spans or ()) == 3
    assert check(bundle).exit_code == 0


def test_spans_are_kept_where_files_are_not_asked_for(source: MemorySource, tmp_path: Path) -> None:
    assert export_into(tmp_path / "b", source, artifacts=False).exit_code == 0
    kept = traces_in(tmp_path / "b")["tr-rich"]
    assert kept.artifacts is None
    assert len(kept.spans or ()) == 3
    held(source).completed.clear()
    report = export_into(tmp_path / "b", source, artifacts=True)
    assert report.objects["traces"].updated == 1
    assert set(held(source).completed) == {"tr-rich", "tr-000003"}


def test_one_bad_trace_takes_no_other_along(source: MemorySource, tmp_path: Path) -> None:
    traces = held(source)
    traces.refused = {"tr-000001": RequestRefused("HTTP 500")}
    traces.items += [
        plain(4, client_request_id="\ud800"),
        plain(5).with_spans([span(1, name="\ud800")]),
        plain(6).with_spans([span(1, start=2**70)]),
    ]
    report = export_into(tmp_path / "b", source)
    assert report.exit_code == 3
    assert sorted(traces_in(tmp_path / "b")) == ["tr-000002", "tr-000003", "tr-rich"]
    failed = {each["id"]: each["error"] for each in newest(tmp_path / "b").failed}
    assert set(failed) == {"tr-000001", "tr-000004", "tr-000005", "tr-000006"}
    assert "spans" in failed["tr-000006"]
    traces.refused = {}
    assert export_into(tmp_path / "b", source).objects["traces"].created == 1


def test_parts_end_by_count_and_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entity_part, "DOCUMENTS_A_PART", 10)
    export_into(tmp_path / "b", source_of(*(plain(n) for n in range(25))))
    assert [part.documents.count for part in newest(tmp_path / "b").objects] == [10, 10, 5]
    assert [part.rows and part.rows.count for part in newest(tmp_path / "b").objects] == [20, 20, 10]
    assert len(traces_in(tmp_path / "b")) == 25


def test_large_attributes_end_a_row_group(tmp_path: Path) -> None:
    large = [plain(n).with_spans([span(1, attributes={"text": str(n) * (9 << 20)})]) for n in range(4)]
    export_into(tmp_path / "b", source_of(*large))
    (file,) = rows_files(tmp_path / "b")
    assert pq.read_metadata(file).num_row_groups == 2
    assert traces_in(tmp_path / "b")["tr-000003"].spans == large[3].spans


def test_check_tells_a_broken_or_missing_file_of_spans(bundle: Path, source: MemorySource) -> None:
    (file,) = rows_files(bundle)
    flip(file, 100)
    faults = check(bundle).faults
    assert [(fault.file, bool(fault.snapshots)) for fault in faults] == [(f"parts/{file.name}", True)]
    file.unlink()
    assert [fault.error for fault in check(bundle).faults] == ["it is missing"]
    export_into(bundle, source)
    assert check(bundle).exit_code == 0, "the next export has read the spans again"
    assert traces_in(bundle)["tr-rich"].span_count == 3


def test_spans_are_pruned_with_their_snapshots_and_copied(bundle: Path, source: MemorySource, tmp_path: Path) -> None:
    (old,) = rows_files(bundle)
    held(source).items = [plain(n, 3, request_preview="again") for n in (1, 2, 3)]
    first = newest(bundle).id
    export_into(bundle, source)
    copy(bundle, tmp_path / "copy")
    assert check(tmp_path / "copy").exit_code == 0
    assert len(rows_files(tmp_path / "copy")) == 2
    forget(f"{bundle}@{first}")
    prune(bundle)
    assert not old.exists()
    assert check(bundle).exit_code == 0
    assert sorted(traces_in(bundle)) == ["tr-000001", "tr-000002", "tr-000003"]


def test_many_small_parts_become_one(tmp_path: Path) -> None:
    source = source_of()
    for number in range(13):
        held(source).items.append(plain(number))
        export_into(tmp_path / "b", source)
    assert len([part for part in newest(tmp_path / "b").objects if part.kind == "traces"]) < 13
    assert {id: len(trace.spans or ()) for id, trace in traces_in(tmp_path / "b").items()} == {
        f"tr-{n:06d}": 2 for n in range(13)
    }
    assert check(tmp_path / "b").exit_code == 0


def test_inspect_counts_traces_and_the_bytes_of_their_attachments(bundle: Path) -> None:
    told = {each.kind: (each.count, each.bytes) for each in inspect(bundle).objects}
    assert told["traces"] == (4, 8)


def test_a_selection_of_runs_means_their_traces(source: MemorySource, bundle: Path, tmp_path: Path) -> None:
    from support.memory import export_to

    from runsync.bundle.bundle import create_bundle
    from runsync.model.selection import Selection

    export_to(create_bundle(tmp_path / "c"), source, selection=Selection(runs=("first",)))
    assert sorted(traces_in(tmp_path / "c")) == ["tr-rich"]


def test_verify_of_a_bundle_finds_a_changed_span(bundle: Path) -> None:
    copied = Path(shutil.copytree(bundle, bundle.parent / "other"))
    wanted = traces_in(copied)["tr-rich"]
    spans = list(wanted.spans or ())
    spans[1] = replace(spans[1], attributes={"new": 1})
    told = list(TRACES.changes(wanted, wanted.with_spans(spans)))
    assert [(change.field, change.old, change.new) for change in told] == [
        (f"spans.{spans[1].span_id}.attributes.new", "missing", "1")
    ]


def test_an_attachment_stands_in_the_file_list() -> None:
    file = ArtifactFile("attachments/x", 8, "0" * 64)
    assert [blob.size for blob in replace(rich(), artifacts=(file,)).blobs] == [8]
