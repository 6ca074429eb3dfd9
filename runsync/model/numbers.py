"""Metric values in JSON: NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity".

Bare NaN is not JSON, and MLflow swallows the parse error and drops the rest of the body (HTTP 200).
"""

import math
from typing import Any


def to_json(value: float) -> float | str:
    """A float as it may stand in a JSON document."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


LARGEST = 1.7976931348623157e308
"""What MLflow's SQL stores keep of an infinity (the greatest finite float64)."""


def stored(value: float) -> float:
    """A value as an SQL store holds it: infinities clamped, no negative zero."""
    return value if math.isnan(value) else max(-LARGEST, min(LARGEST, value)) + 0.0


def from_json(value: Any) -> float:
    """A number or one of the three strings, as a float."""
    return float(value)
