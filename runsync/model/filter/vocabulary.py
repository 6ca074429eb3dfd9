"""What filters may ask about: the fields of one sort of things, and which values these are compared with."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runsync.errors import WrongUsage
from runsync.model.fields import ARTIFACT, ATTRIBUTES, DATASET, EXPERIMENT, METRICS, Field, parse_field
from runsync.model.filter.tree import Value
from runsync.model.times import parse_duration, parse_time

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
STATES = ("active", "deleted")
LATEST = 2.0**62
"""Milliseconds: servers keep times as int64."""
TEXT, NUMBER = "TEXT", "NUMBER"
"""How a value is written: in quotes, or as a number; else TIME, SPAN (of time) or BOOLEAN, all without quotes."""
_TIMES = ("start_time", "end_time")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`field` reads a name, `value` what a field is compared with, from its text and how it is written; both raise
    WrongUsage. `known` gives all words that a field may have (none: any), `misuse` why a field is not compared so ("":
    it is), `is_flag` whether it stands alone. `such_as` is for messages.
    """

    such_as: str
    field: Callable[[str], Field]
    value: Callable[[Field, str, str], Any]
    known: Callable[[Field], tuple[str, ...]]
    misuse: Callable[[Field, str, Value], str]
    is_flag: Callable[[Field], bool]


def _value_of_run(field: Field, text: str, written: str) -> Any:
    """In the type that the field is compared with."""
    if field.kind == METRICS:
        if written != NUMBER:
            shown = text if written != TEXT else f"'{text}'"
            raise WrongUsage(f"metrics are compared with numbers without quotes, not with {shown}")
        return float(text)
    if field.kind == ATTRIBUTES and field.key == "has_model_version":
        if text.lower() not in ("true", "false"):
            raise WrongUsage(f"has_model_version is true or false, not {text}")
        return text.lower() == "true"
    if field.kind == ATTRIBUTES and field.key in (*_TIMES, "duration"):
        return duration(text, written) if field.key == "duration" else moment(text, written)
    if written == NUMBER and field.kind not in (ATTRIBUTES, DATASET, EXPERIMENT, ARTIFACT):
        return float(text)
    if written != TEXT and not (field.key == "id" and text.isdecimal()):
        raise WrongUsage(f"{field} is compared with a text: put it in quotes")
    return text


def moment(text: str, written: str) -> int:
    """A time in epoch milliseconds. Raises WrongUsage."""
    if written == NUMBER:
        return _milliseconds(text)
    return parse_time(re.sub(r"\s+ago$", "", text, flags=re.IGNORECASE))


def duration(text: str, written: str) -> int:
    """Milliseconds. Raises WrongUsage."""
    return _milliseconds(text) if written == NUMBER else int(parse_duration(text).total_seconds() * 1000)


def _milliseconds(text: str) -> int:
    if abs(float(text)) >= LATEST:
        raise WrongUsage(f"{text} is beyond all time")
    return int(text) if text.lstrip("+-").isdecimal() else int(float(text))


def _words_of_run(field: Field) -> tuple[str, ...]:
    return {"status": STATUSES, "state": STATES}.get(field.key, ()) if field.kind == ATTRIBUTES else ()


def _is_flag_of_run(field: Field) -> bool:
    return field == Field(ATTRIBUTES, "has_model_version")


OF_RUNS = Vocabulary(
    "metrics.auc, params.lr or tags.team",
    parse_field,
    _value_of_run,
    _words_of_run,
    lambda field, operator, value: "",
    _is_flag_of_run,
)
