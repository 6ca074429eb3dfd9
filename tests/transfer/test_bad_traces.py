"""Traces that are broken, odd or huge: each that cannot be carried is named, and none takes another one along."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from conftest import executable
from support.databases import Databases, Fresh
from support.proxy import FaultProxy, Rule, respond, rewrite
from support.servers import MlflowServer

import runsync
from runsync import TransferReport
from runsync.kinds.spans import Span
from runsync.workspaces import otlp

pytestmark = pytest.mark.server

SECOND = 10**9
START = 1_790_000_000 * SECOND
ODD = ("tr-a/b", "tr-a%41?c#d", "tr-\x01\n", "tr-ü ö")
"""Ids that MLflow takes up to 3.17."""


def call(url: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = requests.request(method, f"{url}/api/{path}", json=body or {}, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def send(url: str, experiment_id: str, *spans: Span) -> None:
    """As a program with OpenTelemetry does."""
    headers = {"Content-Type": otlp.CONTENT_TYPE, "x-mlflow-experiment-id": experiment_id}
    answer = requests.post(f"{url}/v1/traces", data=otlp.request(spans), headers=headers, timeout=300)
    assert answer.ok, answer.text


def span(trace: str, number: int, parent: int = 0, **attributes: Any) -> Span:
    ids = (f"{number:016x}", trace * 32, f"step {number}", f"{parent:016x}" if parent else "")
    return Span(*ids, START + number, START + number + 1000, "OK", attributes=attributes)


def make(url: str, experiment_id: str, trace_id: str) -> None:
    """One without spans."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
    told = {"trace_location": place, "request_time": "2026-11-01T12:00:00Z", "state": "OK", "tags": {"team": "a"}}
    call(url, "POST", "3.0/mlflow/traces", {"trace": {"trace_info": {"trace_id": trace_id, **told}}})


def override(url: str, trace_id: str) -> None:
    """Feedback on it, and a second one in place of that."""
    told: dict[str, Any] = {
        "assessment_name": "helpful",
        "trace_id": trace_id,
        "source": {"source_type": "HUMAN", "source_id": "ada"},
        "create_time": "2026-11-01T12:00:00Z",
        "last_update_time": "2026-11-01T12:00:00Z",
    }
    path = f"3.0/mlflow/traces/{quote(trace_id, safe='')}/assessments"
    first = call(url, "POST", path, {"assessment": {**told, "feedback": {"value": 1}}})["assessment"]
    call(url, "POST", path, {"assessment": {**told, "feedback": {"value": 2}, "overrides": first["assessment_id"]}})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Traces `1…` to `4…`, one of them with a parent that is missing; those with odd ids, linked to a run; and two of
    a deleted experiment."""
    with MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("filled")) as server:
        url = server.url
        made = call(url, "POST", "2.0/mlflow/experiments/create", {"name": "traced"})["experiment_id"]
        for name in "13":
            send(url, made, span(name, 1), span(name, 2, parent=1, text="ok"))
        send(url, made, span("2", 1, parent=9), span("2", 2, parent=1))
        send(url, made, span("4", 1, text="ok"))
        for id in ODD:
            make(url, made, id)
        override(url, ODD[1])
        override(url, ODD[3])
        run = call(url, "POST", "2.0/mlflow/runs/create", {"experiment_id": made})["run"]["info"]["run_id"]
        call(url, "POST", "2.0/mlflow/traces/link-to-run", {"trace_ids": list(ODD), "run_id": run})
        gone = call(url, "POST", "2.0/mlflow/experiments/create", {"name": "gone"})["experiment_id"]
        make(url, gone, "tr-gone")
        send(url, gone, span("5", 1))
        call(url, "POST", "2.0/mlflow/experiments/delete", {"experiment_id": gone})
        yield server


def tally(report: TransferReport) -> tuple[int, int, int]:
    """How many were created, unchanged, and failed."""
    found = report.objects["traces"]
    return found.created + found.updated, found.unchanged, found.failed


def test_odd_ids_lost_parents_and_deleted_experiments_arrive_as_they_are(
    filled: MlflowServer, start_server: Callable[..., MlflowServer], databases: Databases
) -> None:
    there, database = start_server(gunicorn=False), databases.fresh("sqlite")
    report = runsync.sync(filled.url, there.wait().url)
    assert (tally(report), report.problems) == ((10, 0, 0), [])
    assert runsync.verify(filled.url, there.url).differences == []
    assert tally(runsync.sync(filled.url, there.url)) == (0, 10, 0)
    told = call(there.url, "GET", f"3.0/mlflow/traces/batchGet?trace_ids=tr-{'2' * 32}")["traces"]
    assert sorted(bool(span.get("parent_span_id")) for span in told[0]["spans"]) == [True, True]
    report = runsync.sync(filled.url, database.url)
    assert (report.exit_code, tally(report)) == (3, (6, 0, 4))
    assert {(one["id"], "its id cannot be used" in one["error"]) for one in report.failed} == {(id, True) for id in ODD}


def lose_an_id(document: Any) -> None:
    for one in document.get("traces", ()):
        if "2222" in one["trace_info"]["trace_id"]:
            one["spans"][0]["span_id"] = "!!"


def spoil_a_time(document: Any) -> None:
    for one in document.get("traces", ()):
        if one["trace_id"] == ODD[3]:
            one["request_time"] = "yesterday"


def test_what_a_server_tells_badly_of_one_trace_is_named(filled: MlflowServer, tmp_path: Path) -> None:
    half = json.dumps({"spans": [{"trace_id": 5}, {"name": "no times"}]}).encode()
    rules = (
        Rule(rewrite(spoil_a_time), "traces/search", count=None),
        Rule(respond(500), "batchGet.*(4444.*3333|3333.*4444)", count=None),
        Rule(respond(500), r"batchGet\?trace_ids=tr-3{32}$", count=None),
        Rule(respond(200, body=half), "get-trace-artifact.*2222", count=None),
        Rule(respond(200, body=b"\x0a\xff"), "get-trace-artifact.*3333", count=None),
        Rule(rewrite(lose_an_id), "batchGet", count=None),
    )
    with FaultProxy(filled.url, *rules) as proxy:
        report = runsync.export(proxy.url, tmp_path / "bundle")
        proxy.clear()
        mended = runsync.export(proxy.url, tmp_path / "bundle")
    assert (report.exit_code, tally(report)) == (3, (8, 0, 1))
    assert [(one["id"], "no JSON" in one["error"]) for one in report.failed] == [(f"tr-{'3' * 32}", True)]
    named = [(one["run_id"], one["kind"], one["name"]) for one in report.problems]
    assert named == [(f"tr-{'2' * 32}", "span of trace", f"number {n} of traces.json") for n in (1, 2)]
    assert [left.names for left in report.left_behind if left.kind == "traces"] == [(ODD[3],)]
    assert (mended.exit_code, tally(mended)) == (0, (3, 7, 0))


def test_what_a_target_refuses_of_a_trace_is_named_and_the_others_arrive(
    filled: MlflowServer, start_server: Callable[..., MlflowServer]
) -> None:
    there = start_server(gunicorn=False).wait()
    why = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid trace ID: it must not contain %, ?, #, /"}'
    refused = Rule(respond(400, body=why), "3.0/mlflow/traces$", "POST", count=None, of=lambda body: b"tr-a%" in body)
    with FaultProxy(there.url, refused, Rule(respond(400), "/v1/traces", count=2)) as proxy:
        report = runsync.sync(filled.url, proxy.url)
        assert proxy.count("/v1/traces") > 2
    assert (report.exit_code, tally(report)) == (3, (9, 0, 1))
    assert [(one["id"], "must not contain" in one["error"]) for one in report.failed] == [(ODD[1], True)]
    assert runsync.sync(filled.url, there.url).exit_code == 0
    assert runsync.verify(filled.url, there.url).differences == []


def archive(database: Fresh, trace_id: str, root: Path, content: bytes | None) -> None:
    """As MLflow leaves one whose spans it has moved away."""
    folder = root / "traces" / trace_id / "artifacts"
    told = {"mlflow.trace.spansLocation": "ARCHIVE_REPO", "mlflow.trace.archiveLocation": folder.as_uri()}
    for key, value in told.items():
        database.execute("DELETE FROM trace_tags WHERE request_id = ? AND key = ?", trace_id, key)
        database.execute("INSERT INTO trace_tags (request_id, key, value) VALUES (?, ?, ?)", trace_id, key, value)
    database.execute("DELETE FROM spans WHERE trace_id = ?", trace_id)
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "traces.pb").write_bytes(content)


def test_an_archive_that_is_no_protobuf_is_named_and_the_others_arrive(
    filled: MlflowServer, databases: Databases, tmp_path: Path
) -> None:
    source, target = databases.fresh("sqlite"), databases.fresh("sqlite")
    assert source.path is not None
    shutil.copy(filled.folder / "mlflow.db", source.path)
    lost, broken, cut, good = (f"tr-{name * 32}" for name in "1234")
    whole = otlp.request([span("4", 1, text="ok")])
    archive(source, lost, tmp_path, None)
    archive(source, broken, tmp_path, b"\x0a\xff{}")
    archive(source, cut, tmp_path, whole[:-5])
    archive(source, good, tmp_path, whole)
    report = runsync.sync(source.url, target.url, artifacts=False, accept=["artifacts"])
    assert (report.exit_code, tally(report)) == (3, (3, 0, 7))
    named = {one["id"]: one["error"] for one in report.failed if one["id"] not in ODD}
    assert named.keys() == {lost, broken, cut}
    assert all("traces.pb" in why for why in named.values())
    assert target.execute("SELECT count(*) FROM spans WHERE trace_id = ?", good) == [(1,)]


def test_damaged_files_of_a_file_store_are_named_and_the_others_arrive(filled: MlflowServer, tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    assert tally(runsync.sync(filled.url, str(store))) == (6, 0, 4)
    one, two, three = (next(store.glob(f"*/traces/tr-{name * 32}")) for name in "123")
    spans = one / "artifacts" / "traces.json"
    spans.write_bytes(spans.read_bytes()[:-20])
    (two / "trace_info.yaml").write_text("trace_id: [")
    (three / "tags" / "team").write_bytes(b"\xff")
    report = runsync.export(str(store), tmp_path / "bundle")
    assert (report.exit_code, tally(report)) == (3, (4, 0, 1))
    assert [(each["id"], "traces.json" in each["error"]) for each in report.failed] == [(one.name, True)]
    assert [(each["run_id"], each["kind"]) for each in report.problems] == [(three.name, "tag of trace")]
    assert [left.names for left in report.left_behind if left.kind == "traces"] == [(two.name,)]


@pytest.mark.slow
def test_an_attribute_of_50_mb_arrives_by_server_bundle_and_database(
    start_server: Callable[..., MlflowServer], databases: Databases, tmp_path: Path
) -> None:
    source, there = start_server(gunicorn=False).wait(), start_server(gunicorn=False)
    send(source.url, "0", span("6", 1), span("6", 2, parent=1, text="é" * (25 << 20)))
    send(source.url, "0", span("7", 1, text="ok"))
    bundle = str(tmp_path / "bundle")
    for report in (
        runsync.export(source.url, bundle),
        runsync.import_(bundle, there.wait().url),
        runsync.sync(source.url, databases.fresh("sqlite").url),
    ):
        assert (report.exit_code, tally(report)) == (0, (2, 0, 0))
    assert runsync.verify(source.url, there.url).differences == []
