"""What a filter means, as a tree of plain values."""

from collections.abc import Iterator
from dataclasses import dataclass

from runsync.model.fields import Field

EQUAL, UNEQUAL = "=", "!="
ORDERINGS = (">", ">=", "<", "<=")
LIKE, NOT_LIKE, ILIKE, NOT_ILIKE = "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"
IN, NOT_IN = "IN", "NOT IN"
BETWEEN, NOT_BETWEEN = "BETWEEN", "NOT BETWEEN"
IS_NULL, IS_NOT_NULL = "IS NULL", "IS NOT NULL"

Value = str | float | int | bool | tuple[str | float | int, ...] | None
"""Texts are `str`; numbers `float`; times and durations milliseconds as `int`. A tuple for IN and BETWEEN, None for
IS NULL."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operator` is one of the words above."""

    field: Field
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """True where the other is not."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    """True where all are."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """True where any is."""

    parts: "tuple[Expression, ...]"


Expression = Comparison | Not | And | Or


def conjuncts(expression: Expression) -> Iterator[Expression]:
    """The expressions that must all be true for it to be."""
    if isinstance(expression, And):
        for part in expression.parts:
            yield from conjuncts(part)
    else:
        yield expression


def comparisons_of(expression: Expression) -> Iterator[Comparison]:
    """Every comparison in it."""
    match expression:
        case Comparison():
            yield expression
        case Not():
            yield from comparisons_of(expression.part)
        case And() | Or():
            for part in expression.parts:
                yield from comparisons_of(part)


def fields_of(expression: Expression) -> Iterator[Field]:
    """Every field that is asked about."""
    return (comparison.field for comparison in comparisons_of(expression))
