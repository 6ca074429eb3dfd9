"""Points of metrics, and which of them a run shows."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Point(NamedTuple):
    """One value of a metric; the time is in milliseconds. `value` is as JSON has it: not finite ones are words."""

    timestamp: int
    step: int
    value: float | str
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


def word(value: float) -> float | str:
    """A double as proto3 JSON writes it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def amount(value: float | str) -> float:
    """A double for comparisons; NaN counts as 0."""
    return 0.0 if value == "NaN" else float(value)


def latest(points: Sequence[Point]) -> Point:
    """The point that a run shows: of the last step, then the last time, then the greatest value."""
    return max(points, key=lambda point: (point.step, point.timestamp, amount(point.value)))


def told(key: str, point: Point) -> dict[str, Any]:
    """A point as the API tells it."""
    answer: dict[str, Any] = {"key": key, "value": point.value, "timestamp": point.timestamp, "step": point.step}
    for name in ("model_id", "dataset_name", "dataset_digest"):
        if getattr(point, name):
            answer[name] = getattr(point, name)
    return answer
