"""Runs in the environment of MLflow 3: fills a workspace with traces of all kinds, and tells them by its client.

`fill URI FOLDER`, `read URI`, `find URI`, `change URI TRACE`, `many URI COUNT SPANS`: the last line printed is JSON.
Works on 3.1 and later, with what that release has. FOLDER is where artifacts of the experiment go (`-`: where the
workspace has them).
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, SpanType, TraceLocation
from mlflow.entities.trace_info import TraceInfo
from mlflow.entities.trace_state import TraceState

HUMAN = AssessmentSource("HUMAN", "ada@example.org")
JUDGE = AssessmentSource("LLM_JUDGE", "judge-4")
CODE = AssessmentSource("CODE", "checks.py")
SECOND = 1_000_000_000
ALL_STATES = [
    *("attributes.status = 'OK'", "attributes.status = 'ERROR'", "attributes.status = 'IN_PROGRESS'"),
    *("attributes.execution_time_ms > 1000", "trace.client_request_id = 'request-1'"),
]
METADATA = "metadata.`mlflow.trace.session` = 'session-1'"
TAGS = ["tags.team = 'växt'", "attributes.name = 'chain'", "tags.`mlflow.traceName` = 'chain'"]
ASSESSED = ["feedback.quality = '0.9'", "feedback.correct = 'true'", "expectation.answer = 'Paris'"]
OF_SPANS = [
    *("span.name = 'retrieve'", "span.type = 'TOOL'", "span.status = 'ERROR'", "span.content LIKE '%réponse%'"),
    "span.attributes.depth LIKE '%3%'",
]


def fill(uri: str, folder: str) -> None:
    """Two experiments, a run, a logged model, a prompt, an issue, and traces that name them."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    made = {"artifact_location": Path(folder, "traced").as_uri()} if folder != "-" else {}
    ids = {"experiment": client.create_experiment("traced", **made), "other": client.create_experiment("elsewhere")}
    mlflow.set_experiment(experiment_id=ids["experiment"])
    with mlflow.start_run(run_name="evaluate") as run:
        ids["run"] = run.info.run_id
    ids["model"] = client.create_logged_model(ids["experiment"], "agent", ids["run"]).model_id
    for text in ("Hello {{name}}", "Good day {{name}}"):
        mlflow.genai.register_prompt("greeting", text)
    ids["rich"] = _rich(ids)
    ids["failed"] = _failed()
    ids["sparse"] = _info_only(client, ids)
    ids["plain"] = _plain(ids)
    ids["running"] = _running(client, ids)
    ids["spans_in_files"] = _spans_in_files(client, ids)
    _assess(client, ids)
    _link(client, ids)
    _flush()
    print(json.dumps(ids))


def _flush() -> None:
    with suppress(Exception):
        mlflow.flush_trace_async_logging()


@contextmanager
def _active(ids: dict[str, str]) -> Iterator[None]:
    """Within a run and a model, which traces then name."""
    mlflow.set_active_model(model_id=ids["model"])
    with mlflow.start_run(run_id=ids["run"]):
        yield
    mlflow.clear_active_model()


def _rich(ids: dict[str, str]) -> str:
    """Nested spans with all that a span may have."""
    from mlflow.entities import SpanEvent

    with _active(ids), mlflow.start_span("chain", span_type=SpanType.CHAIN) as root:
        root.set_inputs({"question": "Quelle est la capitale ? 🌍", "n": 1, "nested": [{"a": None}, 1.5, True]})
        root.set_attributes({"depth": 3, "ratio": 0.25, "on": True, "none": None, "list": [1, "two", None]})
        root.set_attributes({"user.id": "ada", "long": "x" * 70_000, "contrôle": "a\tb\nc\x01"})
        mlflow.update_current_trace(
            tags={"team": "växt", "empty": "", "quote": 'it\'s "so"'},
            metadata={"mlflow.trace.session": "session-1", "mlflow.trace.user": "ada", "build": "7"},
            client_request_id="request-1",
        )
        with mlflow.start_span("retrieve", span_type=SpanType.RETRIEVER) as child:
            child.set_inputs("Quelle")
            child.add_event(SpanEvent("found", root.start_time_ns + 5, {"count": 2, "score": 0.5, "tags": ["a", "b"]}))
            child.set_outputs([{"page_content": "Paris…", "metadata": {"doc_uri": "x"}}])
        with mlflow.start_span("llm", span_type=SpanType.CHAT_MODEL) as child:
            child.set_inputs({"messages": [{"role": "user", "content": "capital?"}]})
            usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18, "cache_read_input_tokens": 3}
            child.set_attribute("mlflow.chat.tokenUsage", usage)
            child.set_attribute("mlflow.llm.model", "gpt-x")
            child.set_attribute("mlflow.llm.provider", "acme")
            child.set_attribute("mlflow.llm.cost", {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003})
            child.set_outputs({"choices": [{"message": {"role": "assistant", "content": "Paris, réponse"}}]})
        with mlflow.start_span("tool", span_type=SpanType.TOOL) as child:
            _add_link(child)
            _attach(child)
        with mlflow.start_span("own type", span_type="MINE"):
            pass
        root.set_outputs({"answer": "Paris 🗼"})
        return str(root.trace_id)


def _add_link(span: Any) -> None:
    """Since MLflow 3.12 or so."""
    with suppress(ImportError, AttributeError):
        from mlflow.entities.link import Link

        span.add_link(Link("tr-" + "ab" * 16, "cd" * 8, {"kind": "follows", "n": 1}))


def _attach(span: Any) -> None:
    """Since MLflow 3.11 or so."""
    try:
        from mlflow.tracing.attachments import Attachment
    except ImportError:
        span.set_outputs({"ok": True})
        return
    image = Attachment(content_type="image/png", content_bytes=b"\x89PNG\r\n" + bytes(range(256)) * 20)
    span.set_outputs({"image": image, "text": "an image"})


def _failed() -> str:
    """One that raised."""
    ids: list[str] = []
    with suppress(ZeroDivisionError), mlflow.start_span("broken") as span:
        ids.append(span.trace_id)
        with mlflow.start_span("divide", span_type=SpanType.TOOL):
            print(1 // 0)
    return ids[0]


def _info_only(client: MlflowClient, ids: dict[str, str]) -> str:
    """No spans, an id of its own, in another experiment."""
    info = TraceInfo(
        "request-without-spans",
        TraceLocation.from_experiment_id(ids["other"]),
        1_700_000_000_000,
        TraceState.OK,
        request_preview="question …",
        response_preview="answer",
        client_request_id="theirs",
        execution_duration=1234,
        trace_metadata={"mlflow.trace.session": "session-2", "mlflow.sourceRun": ids["run"]},
        tags={"mlflow.traceName": "bare"},
    )
    return str(client._tracing_client.store.start_trace(info).trace_id)


def _plain(ids: dict[str, str]) -> str:
    """A root alone, with its times."""
    span = mlflow.start_span_no_context("plain", inputs={"x": 1}, start_time_ns=1_700_000_001 * SECOND + 123)
    span.end(outputs=2, end_time_ns=1_700_000_003 * SECOND + 456_789)
    return str(span.trace_id)


def _running(client: MlflowClient, ids: dict[str, str]) -> str:
    """One that has not ended, as a program that still runs leaves it."""
    info = TraceInfo(
        "tr-" + "5f" * 16,
        TraceLocation.from_experiment_id(ids["experiment"]),
        1_700_000_005_000,
        TraceState.IN_PROGRESS,
        tags={"mlflow.traceName": "running"},
    )
    return str(client._tracing_client.store.start_trace(info).trace_id)


def _spans_in_files(client: MlflowClient, ids: dict[str, str]) -> str:
    """As MLflow before 3.5 wrote all: the spans are a file among the artifacts."""
    from mlflow.entities import TraceData

    info = TraceInfo(
        "tr-" + "6e" * 16,
        TraceLocation.from_experiment_id(ids["experiment"]),
        1_700_000_006_000,
        TraceState.OK,
        execution_duration=12,
        tags={"mlflow.traceName": "in files"},
        trace_metadata={"mlflow.trace_schema.version": "3"},
    )
    info = client._tracing_client.store.start_trace(info)
    encode = {"mlflow.traceRequestId": f'"{info.trace_id}"', "mlflow.spanType": '"LLM"', "plain": '"text"'}
    span = {
        "trace_id": "bm5ubm5ubm5ubm5ubm5ubg==",
        "span_id": "AAAAAAAAAAE=",
        "parent_span_id": "",
        "name": "from a file",
        "start_time_unix_nano": 1_700_000_006_000_000_001,
        "end_time_unix_nano": 1_700_000_006_012_000_002,
        "events": [{"name": "tick", "time_unix_nano": 1_700_000_006_001_000_000, "attributes": {"n": 1}}],
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": encode,
    }
    client._tracing_client._upload_trace_data(info, TraceData.from_dict({"spans": [span]}))
    return str(info.trace_id)


def _assess(client: MlflowClient, ids: dict[str, str]) -> None:
    """Feedback of all sources, expectations, issues; overridden, changed and deleted ones."""
    rich = ids["rich"]
    span = next(s for s in _trace(client, rich).data.spans if s.name == "llm")
    first = mlflow.log_feedback(trace_id=rich, name="quality", value=0.1, source=HUMAN, rationale="pas bien ☹")
    mlflow.override_feedback(trace_id=rich, assessment_id=first.assessment_id, value=0.9, source=HUMAN)
    mlflow.log_feedback(
        trace_id=rich,
        name="correct",
        value=True,
        source=JUDGE,
        metadata={"mlflow.assessment.sourceRunId": ids["run"], "model": "gpt-x"},
        span_id=span.span_id,
    )
    mlflow.log_feedback(trace_id=rich, name="checks", value={"a": [1, None, "é"]}, source=CODE)
    mlflow.log_feedback(trace_id=rich, name="judge", value=None, error=ValueError("no answer"), source=JUDGE)
    mlflow.log_expectation(trace_id=rich, name="answer", value="Paris", source=HUMAN, metadata={"by": "ada"})
    mlflow.log_expectation(trace_id=rich, name="facts", value=["capital", {"of": "France"}], source=HUMAN)
    changed = mlflow.log_feedback(trace_id=rich, name="helpful", value="no", source=HUMAN)
    mlflow.update_assessment(rich, changed.assessment_id, mlflow.entities.Feedback(name="helpful", value="yes"))
    gone = mlflow.log_feedback(trace_id=rich, name="gone", value=1, source=CODE)
    mlflow.delete_assessment(rich, gone.assessment_id)
    mlflow.log_feedback(trace_id=ids["failed"], name="correct", value=False, source=JUDGE)
    with suppress(AttributeError, mlflow.MlflowException):  # since 3.11 or so, and not in a file store
        issue = client._tracing_client._create_issue(ids["experiment"], "Too slow", "It takes seconds")
        ids["issue"] = issue.issue_id
        mlflow.log_issue(trace_id=rich, issue_id=issue.issue_id, issue_name="Too slow", run_id=ids["run"])


def _trace(client: MlflowClient, trace_id: str) -> Any:
    _flush()
    return client.get_trace(trace_id)


def _link(client: MlflowClient, ids: dict[str, str]) -> None:
    with suppress(AttributeError, mlflow.MlflowException):  # since 3.5 or so, and not in a file store
        client.link_traces_to_run([ids["rich"], ids["failed"], ids["sparse"]], ids["run"])
    client.link_prompt_versions_to_trace([client.get_prompt_version("greeting", "2")], ids["rich"])


def many(uri: str, count: str, spans: str) -> None:
    """So many traces with so many spans each, written as MLflow's server writes them."""
    from mlflow.entities import Span
    from mlflow.tracing.utils import generate_mlflow_trace_id_from_otel_trace_id

    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    experiment = client.create_experiment("many")
    store = client._tracing_client.store
    for number in range(int(count)):
        hexadecimal = f"{number + 1:032x}"
        trace_id = generate_mlflow_trace_id_from_otel_trace_id(number + 1)
        start = 1_700_000_000 * SECOND + number * 1_000_000
        made = [
            Span.from_dict(
                {
                    "trace_id": _base64(hexadecimal),
                    "span_id": _base64(f"{number * 100 + n + 1:016x}"),
                    "parent_span_id": _base64(f"{number * 100 + 1:016x}") if n else "",
                    "name": f"step {n}",
                    "start_time_unix_nano": start + n,
                    "end_time_unix_nano": start + n + 1000,
                    "events": [],
                    "status": {"code": "STATUS_CODE_OK", "message": ""},
                    "attributes": {
                        "mlflow.traceRequestId": json.dumps(trace_id),
                        "mlflow.spanType": '"TOOL"',
                        "mlflow.spanInputs": json.dumps({"text": f"question {number} " * 10}),
                    },
                }
            )
            for n in range(int(spans))
        ]
        store.log_spans(experiment, made)
    print(json.dumps(experiment))


def _base64(hexadecimal: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def change(uri: str, trace_id: str) -> None:
    """What people do to a trace later."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    client.set_trace_tag(trace_id, "team", "ops")
    client.set_trace_tag(trace_id, "later", "1")
    client.delete_trace_tag(trace_id, "quote")
    info = client._tracing_client.get_trace_info(trace_id)
    by_name = {a.name: a.assessment_id for a in info.assessments}
    mlflow.update_assessment(trace_id, by_name["helpful"], mlflow.entities.Feedback(name="helpful", value="maybe"))
    mlflow.delete_assessment(trace_id, by_name["checks"])
    mlflow.log_feedback(trace_id=trace_id, name="second look", value=5, source=HUMAN)
    print("{}")


def read(uri: str) -> None:
    """Everything that the client tells of traces."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    told = {info.trace_id: _document(client, info) for info in _all(client)}
    print(json.dumps(told))


def _experiments(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]


def _all(client: MlflowClient, where: str | None = None) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client._tracing_client._search_traces(_experiments(client), where, max_results=100, page_token=token)
        found += page[0] if isinstance(page, tuple) else page
        token = page[1] if isinstance(page, tuple) else page.token
        if not token:
            return found


def _document(client: MlflowClient, info: Any) -> dict[str, Any]:
    told: dict[str, Any] = info.to_dict()
    told["assessments"] = sorted((_assessment(one) for one in info.assessments), key=lambda a: str(a["assessment_id"]))
    told["tags"] = {key: value for key, value in told["tags"].items() if not key.startswith("runsync.")}
    try:
        trace = client.get_trace(info.trace_id)
        told["spans"] = sorted((span.to_dict() for span in trace.data.spans), key=lambda s: str(s["span_id"]))
    except mlflow.MlflowException as error:
        told["spans"] = f"none: {type(error).__name__}"
        return told
    told["attachments"] = _attachments(client, trace)
    return told


def _assessment(one: Any) -> dict[str, Any]:
    told: dict[str, Any] = one.to_dictionary()
    return {**told, "overrides": one.overrides, "valid": one.valid, "run_id": getattr(one, "run_id", None)}


def _attachments(client: MlflowClient, trace: Any) -> dict[str, Any]:
    """Sizes and sums of those that spans name."""
    import re
    import zlib

    text = json.dumps([span.to_dict() for span in trace.data.spans])
    found = {}
    for name in sorted(set(re.findall(r"mlflow-attachment://([0-9a-f-]+)", text))):
        with suppress(mlflow.MlflowException):  # only a server reaches what it serves
            data = client._tracing_client._get_artifact_repo_for_trace(trace.info).download_trace_attachment(name)
            found[name] = [len(data), zlib.crc32(data)]
    return found


def find(uri: str) -> None:
    """Which traces a search finds, by everything that it can look for."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    (run,) = [run.info.run_id for run in client.search_runs(_experiments(client))][:1] or [""]
    asked = [*ALL_STATES, METADATA, *TAGS, *ASSESSED, *OF_SPANS, "prompt = 'greeting/2'"]
    asked += [f"attributes.run_id = '{run}'", f"metadata.`mlflow.sourceRun` = '{run}'", "trace.text LIKE '%capitale%'"]
    told: dict[str, Any] = {}
    for where in asked:
        try:
            told[where] = sorted(info.trace_id for info in _all(client, where))
        except mlflow.MlflowException as error:
            told[where] = f"{type(error).__name__}: {str(error)[:80]}"
    print(json.dumps(told))


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {"fill": fill, "read": read, "find": find, "many": many, "change": change}
    verbs[sys.argv[1]](*sys.argv[2:])
    _flush()
