"""What the page draws first: of params and metrics, those that most runs have a number for."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runsync.model.curves import Curve
from runsync.model.fields import METRICS, PARAMS
from runsync.model.run_table import DETAILS, Row, Value
from runsync.runs.compare import CompareReport

MOST_OF_A_GROUP = 4
"""Params, and metrics, that parallel coordinates begin with."""
MOST_TEXTS = 20
"""Different texts of a param that may be an axis."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Names of rows, such as params.lr; `metric` is the key of the first curves, "" where there are none."""

    x: str
    y: str
    color: str
    parallel_color: str
    dimensions: Sequence[str] = field(default_factory=list)
    metric: str = ""

    def to_document(self) -> dict[str, Any]:
        """As the page reads it."""
        return asdict(self)


def first_look(report: CompareReport, asked: Mapping[str, str], curves: Mapping[str, Mapping[int, Curve]]) -> FirstLook:
    """`asked` are names of rows for x, y and color, as far as they are given; `curves` what can be drawn."""
    numeric = _numeric(report.rows)
    of_most = [row for row in numeric if 2 * len(_numbers(row)) > len(row.values)]
    params, metrics = ([row for row in of_most if row.group == group] for group in (PARAMS, METRICS))
    times = [row for row in report.rows if row.group == DETAILS and row.key in ("start_time", "duration")]
    rest = [*params, *metrics, *numeric, *times]
    y = asked.get("y") or _first([*metrics, *rest], asked.get("x"))
    x = asked.get("x") or _first(rest, y)
    color = asked.get("color") or _first([*metrics, *rest], x, y)
    begun = [x, y, *([asked["color"]] if "color" in asked else [])]
    dimensions = [*dict.fromkeys([*begun, *_dimensions(report.rows, numeric)])]
    metric = _metric(y.removeprefix(f"{METRICS}."), curves)
    return FirstLook(x, y, color, asked.get("color") or y, dimensions, metric)


def name_of(row: Row) -> str:
    """How the page calls a row."""
    return f"{row.group}.{row.key}"


def _first(rows: Iterable[Row], *taken: str | None) -> str:
    names = [name_of(row) for row in rows]
    return next((name for name in names if name not in taken), names[-1])


def _numeric(rows: Iterable[Row]) -> list[Row]:
    """Params and metrics with at least two numbers and no text, those that most runs have one of first."""
    found = [row for row in rows if row.group in (PARAMS, METRICS) and len(set(_numbers(row).values())) > 1]
    return sorted(found, key=lambda row: -len(_numbers(row)))


def _numbers(row: Row) -> dict[int, float]:
    """By run; none where a run has a text, for then texts are drawn by their places."""
    numbers = {}
    for position, value in enumerate(row.values):
        number = _number(value)
        if number is None:
            return {}
        if math.isfinite(number):
            numbers[position] = number
    return numbers


def _number(value: Value) -> float | None:
    """NaN for what is missing, None for a text."""
    if value is None:
        return math.nan
    try:
        return None if "_" in str(value) else float(value)
    except ValueError:
        return None


def _dimensions(rows: Iterable[Row], numeric: Sequence[Row]) -> Iterator[str]:
    """As long as most runs have a value on all of them: the others are not drawn. Numbers go before texts."""
    texts = [row for row in rows if row.group == PARAMS and row.differs and row not in numeric]
    few = [row for row in texts if len(set(row.values)) <= MOST_TEXTS]
    left: set[int] | None = None
    for group in (PARAMS, METRICS):
        count = 0
        for row in (row for row in (*numeric, *few) if row.group == group):
            drawn = set(_numbers(row)) or {i for i, value in enumerate(row.values) if value is not None}
            still = drawn if left is None else left & drawn
            if count < MOST_OF_A_GROUP and 2 * len(still) > len(row.values):
                left, count = still, count + 1
                yield name_of(row)


def _metric(key: str, curves: Mapping[str, Mapping[int, Curve]]) -> str:
    """That one if it has curves, else the one of most runs."""
    return key if key in curves else max(curves, key=lambda each: len(curves[each]), default="")
