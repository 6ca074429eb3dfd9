"""What of a filter a server may be asked.

The whole filter is held against every run that comes back. So a server may be asked for too much, but never in a way
that loses a run: only such parts are sent as it understands exactly as `evaluate` does.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from runsync.model.experiment import Experiment
from runsync.model.fields import ATTRIBUTES, DATASET, EXPERIMENT, METRICS, PARAMS, TAGS, Field
from runsync.model.filter import tree
from runsync.model.filter.evaluate import Facts, matches
from runsync.model.filter.tree import Comparison, Expression, Not, Value, conjuncts, fields_of
from runsync.model.run import Run

MOST = 40
"""Conditions: each is a join, and SQLite takes 64 at a time."""
LONGEST_LIST = 500
PLAIN_KEY = re.compile(r"[\w.\-/: ]+")
_SAFE_PATTERN = re.compile(r"[A-Za-z0-9 /:,=@\-]*%?")
"""Pushed for LIKE. File stores make a regular expression of it without quoting, in which % does not pass a line's end,
and some databases have signs of their own, or fold the case of more than ASCII."""
_TEXTS = ("run_id", "run_name", "status", "user_id", "artifact_uri")
_TIMES = ("start_time", "end_time")
_PLAIN = (Field(ATTRIBUTES, "run_id"), Field(ATTRIBUTES, "start_time"))
_USER = (Field(ATTRIBUTES, "user_id"),)
_OPPOSITE = {tree.IS_NULL: tree.IS_NOT_NULL, tree.IS_NOT_NULL: tree.IS_NULL}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server's search understands beyond what all do."""

    datasets: bool = True
    """MLflow 2.4 and newer."""
    null_checks: bool = False
    """IS NULL and IS NOT NULL, for params and tags: in MLflow 3.17, not in 2.22."""
    mlflow_tags: bool = True
    """Whether tags of MLflow's own, and the user, are searched for as they are told."""


def pushed(expression: Expression, dialect: Dialect) -> str:
    """The part of a filter that a server is asked for; "" for none."""
    written = (_written(part, dialect) for part in conjuncts(expression))
    return " AND ".join([part for part in written if part][:MOST])


def state(expression: Expression) -> str:
    """The lifecycle stage that all runs must have: active, deleted, or all."""
    wanted = Field(ATTRIBUTES, "state")
    parts = (part for part in conjuncts(expression) if isinstance(part, Comparison))
    return next((str(p.value) for p in parts if p.field == wanted and p.operator == tree.EQUAL), "all")


def narrowed(expression: Expression, experiments: Iterable[Experiment]) -> list[Experiment]:
    """The experiments that may hold such runs."""
    about = [part for part in conjuncts(expression) if all(f.kind == EXPERIMENT for f in fields_of(part))]
    return [e for e in experiments if all(matches(p, Run("", e.experiment_id), Facts.of([e])) for p in about)]


def is_heeded(part: Expression) -> bool:
    """Whether every server that knows filters lists no run but those of which this part is true. By other parts some
    list more: to older ones a NaN is 0, and some databases fold the case for LIKE."""
    if not isinstance(part, Comparison) or part.operator not in (tree.EQUAL, tree.IN, *tree.ORDERINGS):
        return False
    return part.field.kind in (PARAMS, TAGS) or part.field in _PLAIN


def _written(part: Expression, dialect: Dialect) -> str:
    """One part in the server's words; "" where it might understand it otherwise."""
    if isinstance(part, Not) and isinstance(part.part, Comparison) and part.part.operator in _OPPOSITE:
        part = Comparison(part.part.field, _OPPOSITE[part.part.operator], None)
    if not isinstance(part, Comparison) or not PLAIN_KEY.fullmatch(part.field.key):
        return ""
    if part.operator == tree.BETWEEN and isinstance(part.value, tuple) and part.field.kind in (METRICS, ATTRIBUTES):
        bounds = (Comparison(part.field, sign, value) for sign, value in zip((">=", "<="), part.value, strict=True))
        return " AND ".join(filter(None, (_written(bound, dialect) for bound in bounds)))
    field, operator = part.field, part.operator
    if not dialect.mlflow_tags and (field in _USER or (field.kind == TAGS and field.key.startswith("mlflow."))):
        return ""
    key = f"{field.kind}.`{field.key}`" if field.kind in (METRICS, PARAMS, TAGS) else f"{field.kind}.{field.key}"
    if operator in _OPPOSITE:
        return f"{key} {operator}" if dialect.null_checks and field.kind in (PARAMS, TAGS) else ""
    told = ""
    if field.kind == METRICS:
        told = _number(operator, part.value)
    elif field.kind == ATTRIBUTES and field.key in _TIMES:
        told = _time(operator, part.value)
    elif field == Field(ATTRIBUTES, "run_id") and operator in (tree.IN, tree.NOT_IN):
        told = _list(part.value)
    elif _is_text(field, dialect):
        told = _text(operator, part.value)
    return f"{key} {operator} {told}" if told else ""


def _is_text(field: Field, dialect: Dialect) -> bool:
    if field.kind == DATASET:
        return dialect.datasets
    return field.kind in (PARAMS, TAGS) or (field.kind == ATTRIBUTES and field.key in _TEXTS)


def _number(operator: str, value: Value) -> str:
    """A NaN is unequal to everything: older servers, which take it for 0, are not asked for that."""
    is_asked = isinstance(value, float) and math.isfinite(value) and operator in (tree.EQUAL, *tree.ORDERINGS)
    return repr(value).replace("e+", "e") if is_asked else ""


def _time(operator: str, value: Value) -> str:
    return str(value) if operator in (tree.EQUAL, tree.UNEQUAL, *tree.ORDERINGS) else ""


def _list(values: Value) -> str:
    told = [quoted(str(value)) for value in values] if isinstance(values, tuple) else []
    return f"({', '.join(told)})" if all(told) and 0 < len(told) <= LONGEST_LIST else ""


def _text(operator: str, value: Value) -> str:
    if not isinstance(value, str) or operator not in (tree.EQUAL, tree.UNEQUAL, tree.LIKE, tree.ILIKE):
        return ""
    if "LIKE" in operator and not _SAFE_PATTERN.fullmatch(value):
        return ""
    return quoted(value)


def quoted(text: str) -> str:
    """As MLflow reads it; "" where it has no way to write it, since it knows no escapes."""
    if not text or not text.isprintable() or "\\" in text:
        return ""
    quote = '"' if "'" in text else "'"
    return "" if quote in text else f"{quote}{text}{quote}"
