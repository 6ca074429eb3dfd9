"""The JSON Schemas of the format: every document is held against its own when written and when read."""

import decimal  # noqa: F401  (jsonschema-rs loads it, and panics when a signal interrupts that)
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from runsync.errors import BundleDamaged


def folder() -> Path:
    """Where the schemas lie: in the package once it is installed, beside it in a checkout."""
    packaged = Path(__file__).parents[1] / "schemas" / "v1"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas" / "v1"


@cache
def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of document: runsync, snapshot, experiment, run, …-report, id-map."""
    document: dict[str, Any] = json.loads((folder() / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return document


@cache
def _validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(kind))


def check(kind: str, document: object, place: str) -> None:
    """Raises BundleDamaged, naming `place` (file, or file:line) and the JSON pointer, when a document is invalid."""
    if not _validator(kind).is_valid(document):
        pointer, why = explain(kind, document)
        raise BundleDamaged(f"{place}: not a valid {kind} document at {pointer or '/'}: {why}")


def explain(kind: str, document: object) -> tuple[str, str]:
    """The JSON pointer and the words for the most telling fault of an invalid document.

    jsonschema-rs tells valid from invalid 200 times as fast; jsonschema picks the fault best worth showing.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema(kind)).iter_errors(document))
    if error is None:
        return "", "it breaks the schema"
    return "".join(f"/{step}" for step in error.absolute_path), error.message[:300]
