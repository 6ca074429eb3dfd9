"""The entities of a specimen: one of each thing that tends to get lost, of each kind."""

import json
import math
import uuid
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any

from runsync.kinds.assessments import EXPECTATION, Assessment
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS, DatasetRecord, EvaluationDataset
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel, ModelMetric
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.notebooks import NOTEBOOKS, SOURCE, Notebook
from runsync.kinds.permissions import GROUP, PERMISSIONS, Grant, Permissions
from runsync.kinds.prompts import EXPERIMENT_IDS, LINKED, PROMPT_ALIASES, PROMPT_VERSIONS, PROMPTS, TEXT, TYPE
from runsync.kinds.registered_models import IS_PROMPT, REGISTERED_MODELS, RegisteredModel
from runsync.kinds.span_documents import REQUEST_ID
from runsync.kinds.spans import OK, Span, SpanEvent
from runsync.kinds.trace_filter import SOURCE_RUN
from runsync.kinds.traces import MODEL_ID, OF_EXPERIMENT, TRACES, Trace
from runsync.model.experiment import Experiment
from runsync.model.selection import RUNS
from runsync.testing.memory import START
from runsync.testing.memory_kinds import MemoryDatasets, MemoryModels, MemoryTraces

CODE = b"# Databricks notebook source\nprint(1)\n"
ATTACHMENT = f"attachments/{uuid.UUID(int=7)}"
OF_MODEL = {"MLmodel": b"flavors: {}\n", "data/model.bin": b"weights" * 100}
FILES = {**OF_MODEL, ATTACHMENT: b"an image" * 10}
"""What the files of entities say, by their paths."""
_TIMES: dict[str, Any] = {"created_at": START, "updated_at": START + 1}
_NANOSECONDS = START * 10**6 + 123_456


@dataclass(frozen=True)
class Names:
    """What the entities of a specimen belong to: an experiment, and two runs of it. `model` is the name of a model, and
    how others begin; `kinds` are the names of the kinds that the place has."""

    model: str
    home: Experiment
    run_id: str
    other_run_id: str
    model_id: str
    kinds: Set[str]

    @property
    def prompt(self) -> str:
        """The name of one."""
        return f"{self.model}-greeting"

    @property
    def trace_id(self) -> str:
        """Of one."""
        return f"tr-{uuid.uuid5(uuid.NAMESPACE_OID, self.model).hex}"

    @property
    def notebook(self) -> dict[str, str]:
        """The entries of a run that names one, by the ends of their keys."""
        return {"Path": f"/Users/ana@example.com/{self.model}", "RevisionID": str(START), "ID": self.home.experiment_id}


def held(names: Names) -> dict[str, MemoryModels[Any]]:
    """Those of the kinds that are wanted, by the names of the kinds."""
    every = (*_of_experiments(names), *_models(names), *_prompts(names), _traces(names), _datasets(names))
    return {one.kind.name: replace(one, is_exact=False) for one in every if one.kind.name in names.kinds}


def _of_experiments(names: Names) -> tuple[MemoryModels[Any], ...]:
    """A notebook, and who may read an experiment."""
    told = names.notebook
    notebook = Notebook(told["Path"], told["RevisionID"], SOURCE, told["ID"], "PYTHON")
    readers = Permissions(names.home.experiment_id, names.home.name, grants=(Grant(GROUP, "users", "CAN_READ"),))
    return MemoryModels(PERMISSIONS, [readers]), MemoryModels(NOTEBOOKS, [notebook], {notebook.key: {"": CODE}})


def _models(names: Names) -> tuple[MemoryModels[Any], ...]:
    """A logged model, two versions with a gap before them, and an alias."""
    run_id, model_id = names.run_id, names.model_id
    metric = ModelMetric("auc", 0.75, START, 3, run_id)
    logged = LoggedModel(
        *(model_id, names.home.experiment_id, "net", "pytorch", run_id),
        **_TIMES,
        params={"depth": "3"},
        tags={"by": "ada"},
        metrics=(metric,),
    )
    is_logged = LOGGED_MODELS.name in names.kinds
    home = Home(LOGGED_MODELS.name, model_id) if is_logged else Home(RUNS, run_id, "model")
    source = f"models:/{model_id}" if is_logged else f"runs:/{run_id}/model"
    versions = [
        ModelVersion(names.model, 2, source, home, run_id, description="told", tags={"ok": "yes"}, **_TIMES),
        ModelVersion(names.model, 3, f"runs:/{run_id}/model", Home(RUNS, run_id, "model"), run_id, **_TIMES),
    ]
    registered = RegisteredModel(names.model, "predicts churn", {"team": "vision"}, last_version=3, **_TIMES)
    return (
        MemoryModels(LOGGED_MODELS, [logged], {logged.key: OF_MODEL}),
        MemoryModels(REGISTERED_MODELS, [registered]),
        MemoryModels(MODEL_VERSIONS, versions),
        MemoryModels(MODEL_ALIASES, [ModelAlias(names.model, "champion", 2)]),
    )


def _prompts(names: Names) -> tuple[MemoryModels[Any], ...]:
    """A prompt with two versions, a gap before them, and an alias."""
    is_prompt = {IS_PROMPT: "true"}
    versions = [
        ModelVersion(
            *(names.prompt, number, "dummy-source"),
            description="a draft",
            tags={**is_prompt, TEXT: f"Grüße {{{{name}}}}\n{number} times 😀", TYPE: "text"},
            **_TIMES,
        )
        for number in (2, 3)
    ]
    tags = {**is_prompt, EXPERIMENT_IDS: f",{names.home.experiment_id},", "team": "vision"}
    prompt = RegisteredModel(names.prompt, "greets", tags, last_version=3, **_TIMES)
    return (
        MemoryModels(PROMPTS, [prompt]),
        MemoryModels(PROMPT_VERSIONS, versions),
        MemoryModels(PROMPT_ALIASES, [ModelAlias(names.prompt, "production", 2)]),
    )


def _traces(names: Names) -> MemoryTraces:
    """One with nested spans, values of all sorts, feedback and an attachment; and one without any of it."""
    own = {REQUEST_ID: names.trace_id}
    query = f"content_type=image%2Fpng&trace_id={names.trace_id}&size={len(FILES[ATTACHMENT])}"
    attributes = {
        **own,
        OF_EXPERIMENT: names.home.experiment_id,
        "mlflow.spanType": "LLM",
        "numbers": [1, 1.5, 2**60, math.nan],
        "text": "naïve 😀\n",
        "image": f"mlflow-attachment://{ATTACHMENT.partition('/')[2]}?{query}",
    }
    begin, found = _NANOSECONDS, SpanEvent("found", _NANOSECONDS + 1_500, {"rank": 1})
    spans = [
        Span("1" * 16, "ab" * 16, "ask", "", begin, begin + 5_000_000, OK, attributes=attributes),
        Span("2" * 16, "ab" * 16, "look up", "1" * 16, begin + 1_000, begin + 2_000, OK, "", own, (found,)),
    ]
    by = {"source_type": "HUMAN", "source_id": "ada", **_TIMES}
    assessments = (
        Assessment(_id("a"), "good", value=True, rationale="it is", **by),
        Assessment(_id("a"), "answer", EXPECTATION, {"city": "Oslo"}, span_id="2" * 16, **by),
    )
    links = {SOURCE_RUN: names.run_id, MODEL_ID: names.model_id if LOGGED_MODELS.name in names.kinds else ""}
    tags = {"team": "vision", "mlflow.traceName": "ask"}
    has_prompts = PROMPT_VERSIONS.name in names.kinds
    linked = {LINKED: json.dumps([{"name": names.prompt, "version": "2"}])} if has_prompts else {}
    rich = Trace(
        *(names.trace_id, names.home.experiment_id, START, 5, "OK", "client 1", "in 😀", "out"),
        metadata={key: id for key, id in links.items() if id},
        tags=tags | linked,
        assessments=assessments,
        linked_runs=(names.other_run_id,),
        linked_prompts=(f"{names.prompt}/2",) if has_prompts else (),
    ).with_spans(spans)
    plain_id = _id("tr")
    fail = Span("3" * 16, "cd" * 16, "fail", "", begin, begin + 1_000, attributes={REQUEST_ID: plain_id})
    plain = Trace(plain_id, names.home.experiment_id, START + 9, 1, "ERROR").with_spans([fail])
    return MemoryTraces(TRACES, [rich, plain], {rich.key: {ATTACHMENT: FILES[ATTACHMENT]}})


def _datasets(names: Names) -> MemoryDatasets:
    """One with a record that people wrote, and one of a trace."""
    of_trace = {"source_type": "TRACE", "source_data": {"trace_id": names.trace_id}}
    records = (
        DatasetRecord(_id("dr"), {"question": "wörld?"}, expectations={"answer": "yes"}, tags={"by": "ada"}, **_TIMES),
        DatasetRecord(_id("dr"), {"question": 2}, {"answer": [1, None]}, source=of_trace, **_TIMES),
    )
    told = (_id("d"), f"{names.model}-questions", (names.home.experiment_id,), {"team": "vision"})
    made = EvaluationDataset(*told, **_TIMES)
    return MemoryDatasets(EVALUATION_DATASETS, [made.with_records(records)])


def _id(beginning: str) -> str:
    """As MLflow gives ids that are global."""
    return f"{beginning}-{uuid.uuid4().hex}"
