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


def from_json(value: Any) -> float:
    """A number or one of the three strings, as a float."""
    return float(value)
