"""From a filter as it is written to its expression."""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runsync.errors import BadFilter, WrongUsage
from runsync.model.fields import ARTIFACT, ATTRIBUTES, DATASET, EXPERIMENT, METRICS, Field, parse_field
from runsync.model.filter import tree
from runsync.model.filter.tree import And, Comparison, Expression, Not, Or, Value
from runsync.model.times import parse_duration, parse_time

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
STATES = ("active", "deleted")
LATEST = 2.0**62
"""Milliseconds: servers keep times as int64."""
DEEPEST = 100
"""Levels of the parse tree; parentheses make two."""
_TIMES = ("start_time", "end_time")
_EXPECTED = {
    "FIELD": "a field such as metrics.auc, params.lr or tags.team",
    "COMPARATOR": "a comparison such as =, !=, >, LIKE, IN or IS NULL",
    "STRING": "a value: a number, or a text in quotes",
    "LPAR": "a list such as ('a', 'b')",
    "_AND": "AND",
    "_NULL": "NULL",
    "RPAR": "a closing parenthesis",
}
"""What is missing, by a terminal that could stand there; the first that fits is told."""


@lru_cache(maxsize=64)
def parse(text: str) -> Expression:
    """The expression of a filter. Raises WrongUsage, whose message shows the place, when it is none."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

    try:
        parsed = _parser().parse(text)
    except UnexpectedToken as error:
        at = len(text) if error.token.type == "$END" else error.token.start_pos or 0
        raise _wrong(text, at, _missing(error.accepts or error.expected)) from None
    except UnexpectedCharacters as error:
        raise _wrong(text, error.pos_in_stream or 0, _unreadable(text, error)) from None
    except UnexpectedEOF:
        raise _wrong(text, len(text), "it ends too early") from None
    return _Reader(text).read(parsed)


@cache
def _parser() -> "Lark":
    from lark import Lark

    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True)


def _wrong(text: str, position: int, why: str) -> BadFilter:
    """With the filter and a caret under the place; positions count characters."""
    shown = re.sub(r"\s", " ", text)
    return BadFilter(f"the filter cannot be read: {why}", (f"  {shown}", f"  {' ' * position}^"))


def _missing(terminals: Any) -> str:
    for terminal, told in _EXPECTED.items():
        if terminal in terminals:
            return f"here should be {told}"
    return "nothing should stand here but AND or OR"


def _unreadable(text: str, error: Any) -> str:
    character = text[error.pos_in_stream : error.pos_in_stream + 1]
    if character in "'\"`":
        return f"a {character} that is never closed"
    return _missing(error.allowed)


class _Reader:
    """Makes an expression of a parse tree, and checks that values fit their fields."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, node: "Tree[Token]", depth: int = 0) -> Expression:
        if depth > DEEPEST:
            raise _wrong(self._text, node.meta.start_pos, "parentheses and NOTs are nested too deep")
        children: list[Any] = node.children
        match node.data:
            case "either" | "both":
                parts = tuple(self.read(child, depth + 1) for child in children)
                return parts[0] if len(parts) == 1 else Or(parts) if node.data == "either" else And(parts)
            case "negated":
                return Not(self.read(children[0], depth + 1))
            case "flag":
                return self._flag(children[0])
        return self._condition(str(node.data), self._field(children[0]), children[1:], children[0])

    def _condition(self, kind: str, field: Field, rest: list[Any], token: "Token") -> Expression:
        if kind in ("absent", "present"):
            return Comparison(field, tree.IS_NULL if kind == "absent" else tree.IS_NOT_NULL, None)
        if kind in ("among", "not_among"):
            values = tuple(self._value(field, value.children[0]) for value in rest[0].children)
            for value, of in zip(values, rest[0].children, strict=True):
                self._check_word(field, value, of.children[0])
            return Comparison(field, tree.IN if kind == "among" else tree.NOT_IN, values)
        if kind in ("between", "not_between"):
            values = tuple(self._value(field, value.children[0]) for value in rest)
            return Comparison(field, tree.BETWEEN if kind == "between" else tree.NOT_BETWEEN, values)
        written = rest[0].upper()
        operator = {"==": tree.EQUAL, "<>": tree.UNEQUAL}.get(written, written)
        operator = f"NOT {operator}" if kind == "unlike" else operator
        value = self._value(field, rest[1].children[0])
        self._check(field, operator, value, rest[0])
        if "LIKE" not in operator:
            self._check_word(field, value, rest[1].children[0])
        return Comparison(field, operator, value)

    def _flag(self, token: "Token") -> Expression:
        field = self._field(token)
        if field.key != "has_model_version" or field.kind != ATTRIBUTES:
            raise self._error(token, f"{field} is compared with nothing", after=True)
        return Comparison(field, tree.EQUAL, True)

    def _field(self, token: "Token") -> Field:
        try:
            return parse_field(token)
        except WrongUsage as error:
            raise self._error(token, str(error)) from None

    def _value(self, field: Field, token: "Token") -> Any:
        try:
            return _read_value(field, token)
        except WrongUsage as error:
            raise self._error(token, str(error)) from None

    def _check(self, field: Field, operator: str, value: Value, token: "Token") -> None:
        if "LIKE" in operator and not isinstance(value, str):
            raise self._error(token, f"{operator} is for texts")
        if operator in tree.ORDERINGS and isinstance(value, bool):
            raise self._error(token, f"{field} is true or false")

    def _check_word(self, field: Field, value: Value, token: "Token") -> None:
        """A word that no run ever has is a slip."""
        known = {"status": STATUSES, "state": STATES}.get(field.key) if field.kind == ATTRIBUTES else None
        if known and value not in known:
            raise self._error(token, f"{field.key} is one of {', '.join(known)}, not “{value}”")

    def _error(self, token: "Token", why: str, after: bool = False) -> WrongUsage:
        return _wrong(self._text, (token.end_pos if after else token.start_pos) or 0, why)


def _read_value(field: Field, token: "Token") -> Any:
    """The value in the type that the field is compared with. Raises WrongUsage when it is none for it."""
    text = _unquoted(token) if token.type == "STRING" else str(token)
    if field.kind == METRICS:
        if token.type != "NUMBER":
            raise WrongUsage(f"metrics are compared with numbers without quotes, not with {token}")
        return float(text)
    if field.kind == ATTRIBUTES and field.key in (*_TIMES, "duration", "has_model_version"):
        return _special(field.key, text, token)
    if token.type == "NUMBER" and field.kind not in (ATTRIBUTES, DATASET, EXPERIMENT, ARTIFACT):
        return float(text)
    if token.type != "STRING" and not (field.key == "id" and text.isdecimal()):
        raise WrongUsage(f"{field} is compared with a text: put it in quotes")
    return text


def _special(key: str, text: str, token: "Token") -> int | bool:
    if key == "has_model_version":
        if text.lower() not in ("true", "false"):
            raise WrongUsage(f"has_model_version is true or false, not {token}")
        return text.lower() == "true"
    if token.type == "NUMBER":
        return _milliseconds(text)
    if key == "duration":
        return int(parse_duration(text).total_seconds() * 1000)
    return parse_time(re.sub(r"\s+ago$", "", text, flags=re.IGNORECASE))


def _milliseconds(text: str) -> int:
    if abs(float(text)) >= LATEST:
        raise WrongUsage(f"{text} is beyond all time")
    return int(text) if text.lstrip("+-").isdecimal() else int(float(text))


def _unquoted(token: str) -> str:
    quote = token[0]
    return re.sub(rf"\\{quote}|{quote}{quote}", quote, token[1:-1])
