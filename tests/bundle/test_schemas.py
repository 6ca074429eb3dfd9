"""The published schemas: valid, described, with examples that hold; and what breaks them is refused with its place."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import referencing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runsync.bundle import schemas
from runsync.bundle.stored import StoredRun
from runsync.errors import BundleDamaged

FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "v1"
KINDS = sorted(file.name.removesuffix(".schema.json") for file in FOLDER.glob("*.json"))
SCHEMAS = {kind: json.loads((FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8")) for kind in KINDS}
REGISTRY: Any = referencing.Registry().with_resources(
    (schema["$id"], referencing.Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
LOCKS_LATER = {"boot_id", "namespace", "started", "lifetime"}
RUNS_LATER = {"deleted_time", "growing"}
ADDED_LATER = {
    "run": RUNS_LATER,
    "snapshot": {"objects", "notebook_formats", "order", "trace_filter"},
    "lock": LOCKS_LATER,
}
"""What the first bundles do not have, or only some documents: they are valid without it."""
EXAMPLES = [(kind, number) for kind in KINDS for number in range(len(SCHEMAS[kind].get("examples", ())))]


def _validator(kind: str) -> Any:
    return jsonschema.Draft202012Validator(SCHEMAS[kind], registry=REGISTRY)


def _subschemas(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a property or an item, with where it stands."""
    for name, below in schema.get("properties", {}).items():
        yield f"{place}/{name}", below
        yield from _subschemas(below, f"{place}/{name}")
    if isinstance(schema.get("items"), dict):
        yield f"{place}/*", schema["items"]
        yield from _subschemas(schema["items"], f"{place}/*")


def test_the_kinds_of_documents_are_all_published() -> None:
    assert KINDS == [
        "artifacts-get-report",
        "artifacts-list-report",
        "budget-policy",
        "change-report",
        "check-report",
        "compare-report",
        "copy-report",
        "dataset-report",
        "datasets-get-report",
        "datasets-list-report",
        "diff-report",
        "doctor-report",
        "error-report",
        "evaluation-dataset",
        "experiment",
        "experiment-report",
        "experiments-list-report",
        "forget-report",
        "gateway-endpoint",
        "gateway-model-definition",
        "guardrail",
        "id-map",
        "inspect-report",
        "issue",
        "label-schema",
        "lock",
        "logged-model",
        "mcp-server",
        "model-alias",
        "model-report",
        "model-version",
        "models-compare-report",
        "models-get-report",
        "models-list-report",
        "notebook",
        "permissions",
        "promotion-plan",
        "promotion-report",
        "promotions-report",
        "prompt",
        "prompt-alias",
        "prompt-report",
        "prompt-version",
        "prompts-list-report",
        "prune-report",
        "record",
        "registered-model",
        "removal",
        "repair-report",
        "reproduce-report",
        "review-queue",
        "run",
        "run-report",
        "runs-list-report",
        "runsync",
        "scorer",
        "snapshot",
        "snapshots-report",
        "snippet-report",
        "source-report",
        "suspect",
        "trace",
        "trace-report",
        "traces-list-report",
        "transfer-report",
        "unlock-report",
        "verify-report",
        "webhook",
    ]


def test_bundles_from_before_deletion_times_were_told_are_read() -> None:
    example = {key: value for key, value in SCHEMAS["run"]["examples"][0].items() if key not in ADDED_LATER["run"]}
    schemas.check("run", example, "here")
    assert StoredRun.from_document(example).run.deleted_time is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_valid_draft_2020_12_and_is_called_like_its_file(kind: str) -> None:
    schema = SCHEMAS[kind]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(f"/schemas/v1/{kind}.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_is_described(kind: str) -> None:
    assert SCHEMAS[kind]["title"]
    assert SCHEMAS[kind]["description"]
    lacking = [place for place, schema in _subschemas(SCHEMAS[kind]) if not schema.get("description", "").strip()]
    assert lacking == []


OF_PLACES_LATER = {"/objects/*": {"superseded", "rows"}, "/selection": {"models", "kinds"}}
"""The parts of entities had no superseded lines at first, as those of runs had, and no rows."""


def later(kind: str, place: str) -> set[str]:
    """The optional properties of an object of a schema."""
    return ADDED_LATER.get(kind, set()) | (OF_PLACES_LATER.get(place, set()) if kind == "snapshot" else set())


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_says_which_properties_it_has(kind: str) -> None:
    """A document with a property nobody has written down is refused: nothing is carried that is not understood."""
    objects = [("", SCHEMAS[kind]), *_subschemas(SCHEMAS[kind])]
    open_ones = [place for place, s in objects if "properties" in s and s.get("additionalProperties") is not False]
    optional = [
        place
        for place, s in objects
        if "properties" in s and set(s["properties"]) - later(kind, place) != set(s.get("required", ()))
    ]
    assert (open_ones, optional) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_has_an_example(kind: str) -> None:
    assert SCHEMAS[kind].get("examples")


@pytest.mark.parametrize(("kind", "number"), EXAMPLES)
def test_the_examples_are_valid(kind: str, number: int) -> None:
    _validator(kind).validate(SCHEMAS[kind]["examples"][number])


@pytest.mark.parametrize(("kind", "number"), EXAMPLES)
def test_a_document_with_an_unknown_or_a_missing_property_is_refused(kind: str, number: int) -> None:
    example = SCHEMAS[kind]["examples"][number]
    with pytest.raises(BundleDamaged, match=r"^here: not a valid .* document at /: .*'surprise' was unexpected"):
        schemas.check(kind, {**example, "surprise": 1}, "here")
    for name in example.keys() - ADDED_LATER.get(kind, set()):
        rest = {key: value for key, value in example.items() if key != name}
        with pytest.raises(BundleDamaged, match=rf"^here: not a valid .* document at /: .{name}. is a required"):
            schemas.check(kind, rest, "here")


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("run", {"status": "DONE"}, '/status: "DONE" is not one of'),
        ("run", {"params": {"lr": 0.1}}, '/params/lr: 0.1 is not of type "string"'),
        ("run", {"first_row": -1}, "/first_row: -1 is less than the minimum"),
        ("experiment", {"name": ""}, '/name: "" is shorter than 1'),
        ("runsync", {"version": 0}, "/version: 0 is less than the minimum"),
        ("snapshot", {"parts": [{}]}, "/parts/0: "),
    ],
)
def test_the_place_and_the_reason_of_a_fault_are_told(kind: str, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(BundleDamaged) as caught:
        schemas.check(kind, SCHEMAS[kind]["examples"][0] | change, "parts/x.jsonl.gz:7")
    assert str(caught.value).startswith(f"parts/x.jsonl.gz:7: not a valid {kind} document at {expected}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("document", [None, 1, "x", [], {}])
@pytest.mark.parametrize("kind", ["run", "experiment", "runsync", "snapshot"])
def test_what_is_no_document_at_all_is_refused(kind: str, document: object) -> None:
    with pytest.raises(BundleDamaged, match="not a valid"):
        schemas.check(kind, document, "here")


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["NaN", "Infinity", "RUNNING", "active", "", "0" * 64, 1.0, 0, -1, 2**63, 2**64]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


@st.composite
def _mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """An example with some of its values replaced, removed or joined by others."""
    kind, number = draw(st.sampled_from(EXAMPLES))
    document = copy.deepcopy(SCHEMAS[kind]["examples"][number])
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(_holders(document)))
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "add":
            if isinstance(holder, dict):
                holder[draw(st.text(max_size=3))] = draw(ODD)
            else:
                holder.append(draw(ODD))
        elif action == "remove":
            del holder[key]
        else:
            holder[key] = draw(ODD)
        if not _holders(document):
            break
    return kind, document


def _holders(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        found.append((document, key))
        found += _holders(document[key])
    return found


FAST = {
    kind: jsonschema_rs.Draft202012Validator(
        schema, registry=jsonschema_rs.Registry([(s["$id"], s) for s in SCHEMAS.values()])
    )
    for kind, schema in SCHEMAS.items()
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_mutated())
@pytest.mark.long
def test_the_fast_and_the_telling_validator_agree_on_every_document(made: tuple[str, Any]) -> None:
    kind, document = made
    assert FAST[kind].is_valid(document) == _validator(kind).is_valid(document)
