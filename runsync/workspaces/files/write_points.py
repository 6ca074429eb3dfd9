"""Points into metric files, as MLflow writes their lines."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa

from runsync.workspaces.direct.misfits import Misfit
from runsync.workspaces.files.draft import Draft, key_path, why_no_place
from runsync.workspaces.files.layout import METRICS, Broken
from runsync.workspaces.files.read_points import Columns, blocks, parse

_IDENTITY = ["timestamp", "step", "bits"]
_MOST_LINES = 100_000
_MOST_POINTS = 500_000


def add_points(draft: Draft, batches: Iterable[pa.RecordBatch]) -> list[Misfit]:
    """Points that are not there yet (same key, timestamp, step and value) go behind those that are.

    Gives the metrics of keys that no file can have, and those whose files that are there are damaged. Raises OSError.
    """
    misfits: dict[str, Misfit] = {}
    for key, points in _gathered(batches):
        try:
            _add(draft, key_path(METRICS, key), points)
        except (Broken, OSError) as error:
            misfits[key] = Misfit("metric", key, why_no_place(error))
    return list(misfits.values())


def _add(draft: Draft, name: str, points: pa.Table) -> None:
    present = None if draft.is_new else draft.present(name)
    fresh = points if present is None else _fresh(points, present)
    if not fresh.num_rows:
        return
    is_first = not draft.holds(name)
    with draft.stream(name) as write:
        if present is not None and is_first:
            with closing(blocks(present)) as old:
                for block in old:
                    write(block)
        for start in range(0, fresh.num_rows, _MOST_LINES):
            write(_lines(fresh.slice(start, _MOST_LINES)))


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
    """The points of each key together, as far as memory allows: for each part the file that is there is read anew."""
    name, count = "", 0
    parts: list[pa.RecordBatch] = []
    for batch in batches:
        for key, points in _by_key(batch):
            if parts and (key != name or count > _MOST_POINTS):
                yield name, pa.Table.from_batches(parts)
                parts, count = [], 0
            name = key
            parts.append(points)
            count += points.num_rows
    if parts:
        yield name, pa.Table.from_batches(parts)


def _by_key(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The stretches of a batch that have the same key."""
    import pyarrow.compute as pc

    if not batch.num_rows:
        return
    column = batch["key"]
    stretches = pc.run_end_encode(column.indices)
    names = column.dictionary.to_pylist()
    first = 0
    for code, end in zip(stretches.values.to_pylist(), stretches.run_ends.to_pylist(), strict=True):
        yield names[code], batch.slice(first, end - first)
        first = end


def _fresh(points: pa.Table, path: str) -> pa.Table:
    """The points that a file does not hold yet, in their order."""
    rows = pa.array(range(points.num_rows), pa.int64())
    columns = (points[name].combine_chunks() for name in ("timestamp", "step", "value"))
    left = _identities(*columns).append_column("row", rows)
    with closing(_parsed(path)) as old:
        for present in old:
            there = _identities(present.timestamp, present.step, present.value)
            left = left.join(there, _IDENTITY, join_type="left anti", use_threads=False)
    return points.take(left["row"].combine_chunks().sort())


def _parsed(path: str) -> Generator[Columns, None, None]:
    """The points of a file that is there. Raises Broken."""
    with closing(blocks(path)) as old:
        for block in old:
            try:
                yield parse(block)
            except Broken as error:
                raise Broken(f"its file in the target: {error}") from error


def _identities(timestamp: pa.Array, step: pa.Array, value: pa.Array) -> pa.Table:
    import pyarrow.compute as pc

    value = pc.if_else(pc.is_nan(value), pa.scalar(float("nan")), value)
    return pa.table({"timestamp": timestamp, "step": step, "bits": value.view(pa.int64())})


def _lines(points: pa.Table) -> bytes:
    timestamps, values, steps = (points[name].to_pylist() for name in ("timestamp", "value", "step"))
    if points["dataset_name"].null_count == points.num_rows:
        return "".join([f"{t} {v!r} {s}\n" for t, v, s in zip(timestamps, values, steps, strict=True)]).encode()
    names: list[Any] = points["dataset_name"].to_pylist()
    digests: list[Any] = points["dataset_digest"].to_pylist()
    return "".join(
        [
            f"{t} {v!r} {s}{_dataset(name, digest)}\n"
            for t, v, s, name, digest in zip(timestamps, values, steps, names, digests, strict=True)
        ]
    ).encode()


def _dataset(name: str | None, digest: str | None) -> str:
    """MLflow reads a line with the dataset only where neither has a space in it."""
    if not name or not digest or len(f"{name} {digest}".split()) != 2:
        return ""
    return f" {name} {digest}"
