"""Metric curves: two of them held against each other, and long ones thinned for drawing. In columns, as `points`."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runsync.model import points
from runsync.model.run_table import LOWER

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class CurveEnd:
    """What a run has of a metric: how many points, the last one (greatest step), and the best finite value."""

    points: int = 0
    last: float | None = None
    last_step: int | None = None
    best: float | None = None
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class CurvePair:
    """A metric of two runs, by steps and values (never by time).

    `first_difference` is the step at which the two part, None when one is the beginning of the other;
    `goes_on` tells which run then has more points: 0 the first, 1 the second, None for neither.
    """

    key: str
    direction: str
    first: CurveEnd
    second: CurveEnd
    first_difference: int | None = None
    goes_on: int | None = None

    @property
    def is_same(self) -> bool:
        """Whether both have the same values at the same steps."""
        return self.first_difference is None and self.goes_on is None


def compare_curves(one: "pa.Table", other: "pa.Table", direction_of: Callable[[str], str]) -> Iterator[CurvePair]:
    """Every metric that either history has, by key; `direction_of` tells what best means for a key."""
    first, second = dict(_by_key(one)), dict(_by_key(other))
    nothing = points.as_table([])
    for key in sorted(first.keys() | second.keys()):
        curves = first.get(key, nothing), second.get(key, nothing)
        direction = direction_of(key)
        ends = _end(curves[0], direction), _end(curves[1], direction)
        yield CurvePair(key, direction, *ends, *_parting(*curves))


def _by_key(history: "pa.Table") -> "Iterator[tuple[str, pa.Table]]":
    """Each metric's points, ordered by step and time."""
    import pyarrow as pa

    at = history.schema.get_field_index("key")
    plain = history.set_column(at, "key", history["key"].cast(pa.string()))
    ordered = plain.sort_by([(name, "ascending") for name in ("key", "step", "timestamp")]).combine_chunks()
    first = 0
    for key, count in points.counted_by_key(ordered):
        yield key, ordered.slice(first, count)
        first += count


def _end(curve: "pa.Table", direction: str) -> CurveEnd:
    import pyarrow.compute as pc

    if not len(curve):
        return CurveEnd()
    last, last_step = (curve[name][-1].as_py() for name in ("value", "step"))
    finite = curve.filter(pc.is_finite(curve["value"]))
    if not len(finite):
        return CurveEnd(len(curve), last, last_step)
    best = (pc.min if direction == LOWER else pc.max)(finite["value"])
    step = finite["step"][pc.index(finite["value"], best).as_py()].as_py()
    return CurveEnd(len(curve), last, last_step, best.as_py(), step)


def _parting(one: "pa.Table", other: "pa.Table") -> tuple[int | None, int | None]:
    """The step of the first difference, and which goes on where there is none."""
    import pyarrow.compute as pc

    both = min(len(one), len(other))
    left, right = one.slice(0, both), other.slice(0, both)
    steps, values = pc.equal(left["step"], right["step"]), pc.equal(_bits(left), _bits(right))
    at = pc.index(pc.and_(steps, values), False).as_py()
    if at >= 0:
        return min(left["step"][at].as_py(), right["step"][at].as_py()), None
    return None, None if len(one) == len(other) else int(len(other) > len(one))


def _bits(curve: "pa.Table") -> "pa.ChunkedArray":
    """Values so that NaN equals NaN, and minus zero equals zero."""
    import pyarrow as pa
    import pyarrow.compute as pc

    value = pc.if_else(pc.is_nan(curve["value"]), pa.scalar(math.nan), curve["value"])
    return pc.add(value, 0.0).combine_chunks().view(pa.int64())


@dataclass(slots=True)
class Curve:
    """A metric of one run for drawing: some of its `points` points, in the order the source tells."""

    points: int = 0
    steps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def thinned(history: "Iterable[pa.RecordBatch]", most: int) -> dict[str, Curve]:
    """Curves of at most `most` points (2 or more): evenly picked, and the last one; of a history never held whole."""
    kept: dict[str, _Sieve] = {}
    for batch in history:
        for key, piece in _pieces(batch):
            kept.setdefault(key, _Sieve(most)).take(piece)
    return {key: sieve.curve() for key, sieve in kept.items()}


def _pieces(batch: "pa.RecordBatch") -> "Iterator[tuple[str, pa.RecordBatch]]":
    import pyarrow as pa
    import pyarrow.compute as pc

    key = batch["key"].cast(pa.string())
    for each in key.unique().to_pylist():
        piece = batch.filter(pc.equal(key, each))
        yield each, piece


class _Sieve:
    """Keeps every n-th point; n doubles whenever too many are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._every = 1
        self._rows: list[tuple[int, int, float]] = []
        self._last: tuple[int, int, float] | None = None
        self._seen = 0

    def take(self, piece: "pa.RecordBatch") -> None:
        import pyarrow as pa

        while (self._seen + len(piece)) // self._every > 2 * self._most:
            self._thin()
        picked = pa.array(range(-self._seen % self._every, len(piece), self._every), pa.int64())
        self._rows += _rows(piece.take(picked))
        self._last = _rows(piece.slice(len(piece) - 1))[0]
        self._seen += len(piece)
        while len(self._rows) >= self._most and self._seen > self._most:
            self._thin()

    def _thin(self) -> None:
        self._rows = self._rows[::2]
        self._every *= 2

    def curve(self) -> Curve:
        rows = self._rows
        if (self._seen - 1) % self._every and self._last is not None:
            rows = [*rows, self._last]
        steps, times, values = (list(column) for column in zip(*rows, strict=True))
        return Curve(self._seen, steps, times, values)


def _rows(batch: "pa.RecordBatch") -> list[tuple[int, int, float]]:
    return list(zip(*(batch[name].to_pylist() for name in ("step", "timestamp", "value")), strict=True))
