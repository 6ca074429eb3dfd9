"""The latest point of each metric, by MLflow's order: greatest step, then timestamp, then value (NaN counts as 0)."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa


class Stored(NamedTuple):
    """A point as a database has it: NaN is the value 0 with a mark. Compares as MLflow compares."""

    step: int
    timestamp: int
    value: float
    is_nan: bool = False

    def is_later(self, other: "Stored") -> bool:
        """Whether it replaces the other as the latest."""
        return self[:3] > other[:3]


def merge(latest: dict[str, Stored], points: "pa.Table") -> None:
    """Takes note of the latest of these points (key, step, timestamp, value, is_nan; values as stored)."""
    for key, found in _greatest(points).items():
        known = latest.get(key)
        if known is None or found.is_later(known):
            latest[key] = found


def _greatest(points: "pa.Table") -> dict[str, Stored]:
    """One point of each key. Column by column, only what is greatest in one is looked at in the next."""
    import pyarrow.compute as pc

    names = points["key"].combine_chunks()
    rest = points.set_column(points.schema.get_field_index("key"), "key", names.indices)
    for name in ("step", "timestamp", "value"):
        most = rest.group_by("key", use_threads=False).aggregate([(name, "max")])
        place = pc.index_in(rest["key"], most["key"].combine_chunks())
        rest = rest.filter(pc.equal(rest[name], pc.take(most[f"{name}_max"], place)))
    return {
        names.dictionary[row["key"]].as_py(): Stored(row["step"], row["timestamp"], row["value"], row["is_nan"])
        for row in reversed(rest.to_pylist())
    }
