"""The JSON Schemas of the format: every document is held against its own when written and when read."""

import decimal  # noqa: F401  (jsonschema-rs loads it, and panics when a signal interrupts that)
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import jsonschema_rs

from runsync.errors import BundleDamaged
from runsync.schema_files import folder

LONGEST = 300
"""Characters of a reason that are shown: it may quote a document."""


@cache
def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of document: runsync, snapshot, experiment, run, …-report, id-map."""
    document: dict[str, Any] = json.loads((folder() / "v1" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return document


@cache
def _validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(kind))


def check(kind: str, document: Any, place: str) -> None:
    """Raises BundleDamaged, naming `place` (file, or file:line) and the JSON pointer, when a document is invalid."""
    if not _validator(kind).is_valid(document):
        pointer, why = explain(kind, document)
    elif pointer := _fraction(document, _integers(kind)):
        why = "an integer is written with a fraction or an exponent"
    else:
        return
    raise BundleDamaged(f"{place}: not a valid {kind} document at {pointer or '/'}: {why}")


def explain(kind: str, document: object) -> tuple[str, str]:
    """The JSON pointer and the words for the first fault of an invalid document.

    Only the first: a document made to break us has millions.
    """
    try:
        _validator(kind).validate(document)
    except jsonschema_rs.ValidationError as error:
        return "".join(f"/{step}" for step in error.instance_path)[:LONGEST], _shortened(error.message)
    except ValueError as error:  # nested deeper than it follows
        return "", str(error)
    return "", "it breaks the schema"


def _shortened(message: str) -> str:
    """A message quotes the document first, and says what is wrong with it last."""
    return message if len(message) <= LONGEST else f"{message[: LONGEST // 2]} … {message[-LONGEST // 2 :]}"


@dataclass(frozen=True, slots=True)
class Integers:
    """The properties of an object that are integers, and those that are objects or arrays of objects with such.

    The integers of an array's objects are required ones.
    """

    names: tuple[str, ...]
    below: tuple[tuple[str, "Integers"], ...]


@cache
def _integers(kind: str) -> Integers:
    return _integers_of(schema(kind))


def _integers_of(node: Mapping[str, Any]) -> Integers:
    names, below = [], []
    for name, inner in node.get("properties", {}).items():
        if "integer" in inner.get("type", ()):
            names.append(name)
        else:
            found = _integers_of(inner.get("items", inner))
            below += [(name, found)] if found.names or found.below else []
    return Integers(tuple(names), tuple(below))


def _fraction(document: Mapping[str, Any], integers: Integers) -> str:
    """Where a valid document has 1.0 or 1e3 for an integer: JSON Schema takes those for one, and Python does not."""
    for name in integers.names:
        if type(document.get(name)) is float:
            return f"/{name}"
    for name, below in integers.below:
        value = document.get(name) or ()
        if isinstance(value, dict):
            if pointer := _fraction(value, below):
                return f"/{name}{pointer}"
            continue
        if any(float in map(type, map(itemgetter(each), value)) for each in below.names):
            return f"/{name}"
        for number, item in enumerate(value if below.below else ()):
            if pointer := _fraction(item, below):
                return f"/{name}/{number}{pointer}"
    return ""
