"""The fields that a request may have: their names and types, checked before anything is done.

Real workspaces let unknown fields pass. Here they are errors: a field that is misspelt would be lost silently.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.databricks.errors import Refusal

Check = Callable[[Any, str], Any]
INTEGER = re.compile(r"-?\d{1,19}")
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Message:
    """The fields of one JSON object, by name, and which of them must be there."""

    fields: Mapping[str, Check] = field(default_factory=dict)
    required: frozenset[str] = frozenset()

    def __call__(self, value: Any, where: str) -> dict[str, Any]:
        """The object with every value checked. Raises Refusal."""
        if not isinstance(value, dict):
            raise malformed(f"{where} is no object")
        unknown = sorted(set(value) - set(self.fields))
        if unknown:
            raise malformed(f"{where} has unknown fields: {', '.join(unknown)}")
        checked = {name: self.fields[name](each, f"{where}.{name}") for name, each in value.items() if each is not None}
        for name in sorted(self.required):
            if checked.get(name, "") == "":
                raise Refusal("INVALID_PARAMETER_VALUE", f"Missing value for required parameter '{name}'.")
        return checked


def message(required: str = "", **fields: Check) -> Message:
    """A message of these fields; `required` names those that must be there, apart by blanks."""
    return Message(fields, frozenset(required.split()))


def malformed(text: str) -> Refusal:
    """A request that cannot be understood."""
    return Refusal("MALFORMED_REQUEST", f"Could not parse request object: {text}", violation=True)


def text(value: Any, where: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise malformed(f"{where} is no string")
    return value


def integer(value: Any, where: str) -> int:
    """An int64: a JSON number, or a string of digits as proto3 has them."""
    if isinstance(value, str) and INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise malformed(f"{where} is no int64")
    return value


def number(value: Any, where: str) -> float:
    """A double: a JSON number, or `"NaN"`, `"Infinity"`, `"-Infinity"` in quotes."""
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise malformed(f"{where} is no double")
    return float(value)


def flag(value: Any, where: str) -> bool:
    """True or false; in a query, the words."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise malformed(f"{where} is neither true nor false")
    return value


def anything(value: Any, where: str) -> Any:
    """Any JSON: kept, not understood."""
    return value


def choice(*names: str) -> Check:
    """One of these words."""

    def check(value: Any, where: str) -> str:
        if value not in names:
            raise Refusal(
                "INVALID_PARAMETER_VALUE", f"{where} is none of {', '.join(names)}: {value!r}", violation=True
            )
        return str(value)

    return check


@dataclass(frozen=True)
class Many:
    """A list of things that are all checked; a query with one value of the name is a list of one."""

    check: Check

    def __call__(self, value: Any, where: str) -> list[Any]:
        """The list with every value checked. Raises Refusal."""
        if not isinstance(value, list):
            raise malformed(f"{where} is no list")
        return [self.check(each, f"{where}[{index}]") for index, each in enumerate(value)]


def many(check: Check) -> Many:
    """A list of these."""
    return Many(check)


def repeated(values: list[str], check: Check | None) -> Any:
    """The value that a query gives to a field: the one text, or all of them for a list."""
    if isinstance(check, Many):
        return values
    if len(values) > 1:
        raise malformed("a parameter is given twice")
    return values[0]


def parse(body: bytes) -> Any:
    """A JSON document as protobuf reads it: no bare NaN or Infinity, no key twice. Raises Refusal."""
    try:
        return json.loads(body, parse_constant=_bare, object_pairs_hook=_unique)
    except ValueError as error:
        raise malformed(f"not JSON: {error}") from None


def _bare(name: str) -> float:
    raise malformed(f"bare {name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise malformed("a key is given twice")
    return made


PAIR = message("key", key=text, value=text)
"""A tag or a param."""
