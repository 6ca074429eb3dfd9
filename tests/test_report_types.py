"""Each report type and its schema agree, field by field and type by type."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

import runsync

SCHEMAS = {
    file.name.removesuffix(".schema.json"): json.loads(file.read_text(encoding="utf-8"))
    for file in (Path(__file__).resolve().parents[1] / "schemas" / "v1").glob("*.json")
}
REPORTS = sorted(name for name in SCHEMAS if name.endswith("-report") and name != "error-report")
"""An error has a report and no type: it is told where nothing else is."""
HEAD = {"format", "version", "exit_code"}
VERSION_OF_PROMPT = {
    "commit_message",
    "created_at",
    "messages",
    "model_config",
    "response_format",
    "tags",
    "text",
    "updated_at",
    "user_id",
}
OF_DATASET = {
    "created_at",
    "created_by",
    "dataset_id",
    "digest",
    "name",
    "profile",
    "schema",
    "tags",
    "updated_at",
    "updated_by",
}
DERIVED = {
    "change-report": {"experiments", "failed", "objects", "runs"},
    "compare-report": {"runs"},
    "dataset-report/dataset": OF_DATASET | {"records"},
    "datasets-list-report/datasets/*": OF_DATASET | {"records"},
    "experiment-report": {"run_counts"},
    "experiments-list-report/experiments/*": {"runs"},
    "model-report": {"of_version"},
    "models-list-report/models/*": {"name", "description", "tags", "created_at", "updated_at", "last_version"},
    "promotion-report": {"action"},
    "prompt-report/versions/*": VERSION_OF_PROMPT,
    "prompts-list-report/prompts/*": {"name", "description", "tags", "created_at", "updated_at", "last_version"},
    "run-report": {"source", "notes"},
    "runs-list-report/runs/*": {"experiment"},
    "trace-report": {"spans"},
    "traces-list-report/traces/*": {"experiment"},
    "transfer-report/not_carried/*": {"accepted"},
    "verify-report/not_compared/*": {"accepted"},
}
"""Properties that `to_document` works out."""
UNTOLD = {
    "change-report": {"may_go_on", "pieces", "stop_code"},
    "check-report": {"is_noted"},
    "compare-report": {"curves", "most_points", "subjects"},
    "dataset-report/dataset": {"dataset"},
    "datasets-list-report/datasets/*": {"dataset"},
    "experiment-report": {"deleted", "newest", "statuses"},
    "experiments-list-report": {"runs"},
    "model-report": {"files", "home", "is_of_version", "logged", "run"},
    "model-report/versions/*": {"artifacts", "problems"},
    "models-list-report/models/*": {"model"},
    "prompt-report": {"is_of_version"},
    "prompts-list-report/prompts/*": {"model"},
    "repair-report": {"stop_code"},
    "runs-list-report": {"experiments"},
    "trace-report/trace": {"problems", "spans"},
    "trace-report/trace/artifacts/*": {"fault"},
    "traces-list-report": {"experiments"},
    "traces-list-report/traces/*": {"artifacts", "span_count", "span_digest", "spans"},
    "transfer-report": {"has_more_to_do", "may_go_on", "stop_code"},
}
"""Fields that no document has as they are."""
OTHERWISE = {
    "compare-report/pair/artifacts/*",  # a change of a field, told as one of a path
    "source-report",  # its `code`, flat
    "prompt-report/versions/*/version",  # its number
    "run-report/run/latest_metrics/*",  # as runs.jsonl has them: arrays
    "runs-list-report/runs/*/latest_metrics/*",
    "trace-report/experiment",  # its name
}
"""What is written in another shape."""
JSON_TYPES = {str: "string", int: "integer", bool: "boolean", float: "number", type(None): "null"}


@cache
def classes() -> dict[str, type]:
    """The type of each report: its docstring begins with the name of its schema."""
    found = {}
    for module in pkgutil.walk_packages(runsync.__path__, "runsync."):
        if module.name.startswith("runsync.testing") or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            told = re.match(r"`schemas/v1/([a-z-]+)\.schema\.json`", getattr(value, "__doc__", None) or "")
            if told and inspect.isclass(value) and value.__name__ == name:
                found[told[1]] = value
    return found


def json_type(of: Any) -> str | None:
    """As JSON Schema names it; None where it is any."""
    outer = get_origin(of) or of
    if outer in JSON_TYPES:
        return JSON_TYPES[outer]
    if outer is Literal:
        return "string"
    if inspect.isclass(outer) and issubclass(outer, (list, tuple, frozenset, Sequence)):
        return "array"
    if dataclasses.is_dataclass(outer) or (inspect.isclass(outer) and issubclass(outer, Mapping)):
        return "object"
    return None


def faults(place: str, of: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """What a type and a schema do not agree about."""
    if place in OTHERWISE or "$ref" in schema:
        return
    if get_origin(of) is Annotated:
        of = get_args(of)[0]
    alternatives = get_args(of) if get_origin(of) in (Union, types.UnionType) else (of,)
    named = schema.get("type", ())
    told = {named} if isinstance(named, str) else set(named)
    wanted = {json_type(one) for one in alternatives}
    if "number" in told:  # every integer is one, and NaN is written as text
        told, wanted = told - {"string", "integer"}, wanted - {"string", "integer"} | {"number"}
    if told and None not in wanted and told != wanted:
        yield f"{place}: {told} in the schema, {wanted} in the type"
    for one in alternatives:
        outer, inner = get_origin(one) or one, get_args(one)
        if dataclasses.is_dataclass(outer):
            yield from faults_of_fields(place, outer, schema)
        elif json_type(one) == "array" and inner and "items" in schema:
            yield from faults(f"{place}/*", inner[0], schema["items"])
        elif json_type(one) == "object" and isinstance(schema.get("additionalProperties"), dict):
            yield from faults(f"{place}/{{}}", inner[1], schema["additionalProperties"])


def faults_of_fields(place: str, of: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Likewise of an object."""
    properties = schema.get("properties", {})
    if not properties:  # it is described by a schema of its own
        return
    hints = get_type_hints(of)
    names = {each.name for each in dataclasses.fields(of) if not each.name.startswith("_")}
    if more := properties.keys() - names - HEAD - DERIVED.get(place, set()):
        yield f"{place}: only the schema has {sorted(more)}"
    if more := names - properties.keys() - UNTOLD.get(place, set()):
        yield f"{place}: only the type has {sorted(more)}"
    for name in names & properties.keys():
        yield from faults(f"{place}/{name}", hints[name], properties[name])


def test_each_report_has_a_type_and_a_schema() -> None:
    assert sorted(name for name in classes() if name.endswith("-report")) == REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_type_and_its_schema_agree(name: str) -> None:
    assert list(faults(name, classes()[name], SCHEMAS[name])) == []


def test_what_the_schemas_have_otherwise_is_still_so() -> None:
    """No exception outlives its reason."""
    used: set[tuple[str, str]] = set()

    def walk(place: str, schema: Mapping[str, Any]) -> None:
        used.update((place, name) for name in schema.get("properties", ()))
        for name, below in schema.get("properties", {}).items():
            walk(f"{place}/{name}", below)
        if isinstance(schema.get("items"), dict):
            walk(f"{place}/*", schema["items"])

    for name in REPORTS:
        walk(name, SCHEMAS[name])
    assert {(place, name) for place, names in DERIVED.items() for name in names} <= used
    assert not {(place, name) for place, names in UNTOLD.items() for name in names} & used
