"""A metric's whole history in a few numbers and a small picture."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runsync.model import numbers

if TYPE_CHECKING:
    import pyarrow as pa

TREND = 40
"""Values of a trend at most."""
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of a run. `last` is its latest value, `trend` a few of all in the order of steps.

    `lowest` and `highest` leave NaN out (None: there is nothing else); times are epoch milliseconds.
    """

    key: str
    last: float
    lowest: float | None
    highest: float | None
    first_step: int
    last_step: int
    points: int
    trend: tuple[float, ...]

    def to_document(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "key": self.key,
            "last": numbers.to_json(self.last),
            "lowest": None if self.lowest is None else numbers.to_json(self.lowest),
            "highest": None if self.highest is None else numbers.to_json(self.highest),
            "first_step": self.first_step,
            "last_step": self.last_step,
            "points": self.points,
            "trend": [numbers.to_json(value) for value in self.trend],
        }


def curves(history: "Iterable[pa.RecordBatch]") -> Iterator[Curve]:
    """One for every key of a history, whose points stand together by key: one key is in memory at a time."""
    key, pieces = None, []
    for batch in history:
        for name, piece in _by_key(batch):
            if name != key and key is not None:
                yield _curve(key, pieces)
                pieces = []
            key = name
            pieces.append(piece)
    if key is not None:
        yield _curve(key, pieces)


def sparkline(values: Iterable[float]) -> str:
    """Bars from the lowest to the highest value; a dot for NaN and the infinities."""
    import math

    values = list(values)
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "·" * len(values)
    low, high = min(finite), max(finite)
    top = len(BARS) - 1

    def bar(value: float) -> str:
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
        return BARS[round(share * top)]

    return "".join(bar(value) if math.isfinite(value) else "·" for value in values)


def _by_key(batch: "pa.RecordBatch") -> "Iterator[tuple[str, pa.RecordBatch]]":
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = pc.run_end_encode(batch["key"].cast(pa.string()))
    first = 0
    for name, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
        yield name, batch.slice(first, end - first).select(["step", "timestamp", "value"])
        first = end


def _curve(key: str, pieces: "list[pa.RecordBatch]") -> Curve:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(pieces)
    value = pc.if_else(pc.is_nan(table["value"]), 0.0, table["value"])
    columns = {"step": table["step"], "timestamp": table["timestamp"], "rank": value, "value": table["value"]}
    points = pa.table(columns).sort_by([(name, "ascending") for name in ("step", "timestamp", "rank")])
    told = points["value"].filter(pc.invert(pc.is_nan(points["value"])))
    bounds = pc.min_max(told).as_py() if len(told) else {"min": None, "max": None}
    return Curve(
        key,
        points["value"][-1].as_py(),
        bounds["min"],
        bounds["max"],
        points["step"][0].as_py(),
        points["step"][-1].as_py(),
        len(points),
        tuple(points["value"].take(pa.array(_spread(len(points)))).to_pylist()),
    )


def _spread(count: int) -> list[int]:
    """Rows evenly from the first to the last."""
    if count <= TREND:
        return list(range(count))
    return [round(place * (count - 1) / (TREND - 1)) for place in range(TREND)]
