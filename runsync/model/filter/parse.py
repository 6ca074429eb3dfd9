"""From a filter as it is written to its expression."""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runsync.errors import BadFilter, WrongUsage
from runsync.model.fields import Field
from runsync.model.filter import tree
from runsync.model.filter.tree import And, Comparison, Expression, Not, Or, Value
from runsync.model.filter.vocabulary import OF_RUNS, Vocabulary

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

DEEPEST = 100
"""Levels of the parse tree; parentheses make two."""
_EXPECTED = {
    "COMPARATOR": "a comparison such as =, !=, >, LIKE, IN or IS NULL",
    "STRING": "a value: a number, or a text in quotes",
    "LPAR": "a list such as ('a', 'b')",
    "_AND": "AND",
    "_NULL": "NULL",
    "RPAR": "a closing parenthesis",
}
"""What is missing, by a terminal that could stand there; the first that fits is told."""


@lru_cache(maxsize=64)
def parse(text: str, words: Vocabulary = OF_RUNS) -> Expression:
    """The expression of a filter on what has these `words`. Raises WrongUsage, whose message shows the place, when it
    is none."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

    try:
        parsed = _parser().parse(text)
    except UnexpectedToken as error:
        at = len(text) if error.token.type == "$END" else error.token.start_pos or 0
        if str(error.token).upper() == "RLIKE":
            raise _wrong(text, at, "RLIKE is not known here: write LIKE or ILIKE, with % for any text") from None
        raise _wrong(text, at, _missing(error.accepts or error.expected, words)) from None
    except UnexpectedCharacters as error:
        raise _wrong(text, error.pos_in_stream or 0, _unreadable(text, error, words)) from None
    except UnexpectedEOF:
        raise _wrong(text, len(text), "it ends too early") from None
    return _Reader(text, words).read(parsed)


@cache
def _parser() -> "Lark":
    from lark import Lark

    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True)


def _wrong(text: str, position: int, why: str) -> BadFilter:
    """With the filter and a caret under the place; positions count characters."""
    shown = re.sub(r"\s", " ", text)
    return BadFilter(f"the filter cannot be read: {why}", (f"  {shown}", f"  {' ' * position}^"))


def _missing(terminals: Any, words: Vocabulary) -> str:
    if "FIELD" in terminals:
        return f"here should be a field such as {words.such_as}"
    for terminal, told in _EXPECTED.items():
        if terminal in terminals:
            return f"here should be {told}"
    return "nothing should stand here but AND or OR"


def _unreadable(text: str, error: Any, words: Vocabulary) -> str:
    character = text[error.pos_in_stream : error.pos_in_stream + 1]
    if character in "'\"`":
        return f"a {character} that is never closed"
    return _missing(error.allowed, words)


class _Reader:
    """Makes an expression of a parse tree, and checks that values fit their fields."""

    def __init__(self, text: str, words: Vocabulary) -> None:
        self._text = text
        self._words = words

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
        condition = self._condition(str(node.data), self._field(children[0]), children[1:], children[0])
        if why := self._words.misuse(condition.field, condition.operator, condition.value):
            raise self._error(children[0], why)
        return condition

    def _condition(self, kind: str, field: Field, rest: list[Any], token: "Token") -> Comparison:
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
        if not self._words.is_flag(field):
            raise self._error(token, f"{field} is compared with nothing", after=True)
        return Comparison(field, tree.EQUAL, True)

    def _field(self, token: "Token") -> Field:
        try:
            return self._words.field(token)
        except WrongUsage as error:
            raise self._error(token, str(error)) from None

    def _value(self, field: Field, token: "Token") -> Any:
        is_quoted = token.type == "STRING"
        text = _unquoted(token) if is_quoted else str(token)
        try:
            return self._words.value(field, text, "TEXT" if is_quoted else token.type)
        except WrongUsage as error:
            raise self._error(token, str(error)) from None

    def _check(self, field: Field, operator: str, value: Value, token: "Token") -> None:
        if "LIKE" in operator and not isinstance(value, str):
            raise self._error(token, f"{operator} is for texts")
        if operator in tree.ORDERINGS and isinstance(value, bool):
            raise self._error(token, f"{field} is true or false")

    def _check_word(self, field: Field, value: Value, token: "Token") -> None:
        """A word that none ever has is a slip."""
        known = self._words.known(field)
        if known and value not in known:
            raise self._error(token, f"{field.key} is one of {', '.join(known)}, not “{value}”")

    def _error(self, token: "Token", why: str, after: bool = False) -> WrongUsage:
        return _wrong(self._text, (token.end_pos if after else token.start_pos) or 0, why)


def _unquoted(token: str) -> str:
    quote = token[0]
    return re.sub(rf"\\{quote}|{quote}{quote}", quote, token[1:-1])
