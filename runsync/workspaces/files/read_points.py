"""Metric files: lines `timestamp value step`, in old stores `timestamp value`, of MLflow 3 also with a dataset behind.

Many small files, or a piece of a big one, are parsed at once into Arrow columns; only what is not plain goes line by
line through Python, as in MLflow. FileStore gives step 0 to a point with a dataset; here it keeps its step.

A last line without its end is what a training run has not yet written, or never could: where it is no whole point it
is left out, and the caller is told.
"""

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from runsync.model.points import POINTS
from runsync.model.run import LatestMetric
from runsync.workspaces.files.layout import Broken, open_file

BLOCK = 2 * 2**20
"""Bytes parsed at once: memory grows with it, some fifty times. A longer file is put in order block by block: a point
that stands more than a block away from its place in time stays behind, as FileStore tells it."""

_FIRST = 2**16
_PLAIN = b"0123456789.+-e \nainf"
_LARGEST = 2**63


class Columns(NamedTuple):
    """Points of one or more files."""

    timestamp: pa.Array
    value: pa.Array
    step: pa.Array
    dataset_name: pa.Array | None = None
    dataset_digest: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class MetricFile:
    """One metric of one run."""

    run_id: str
    key: str
    path: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Points of some files, one behind the other: `counts` tells how many each has. Or a part of one long file."""

    files: Sequence[MetricFile]
    counts: Sequence[int]
    columns: Columns


Refuse = Callable[[MetricFile, Exception], None]
"""What is done about a file that cannot be read; it may raise."""
Torn = Callable[[MetricFile], object]
"""What is done about a file whose last line was not written to its end."""


def history(pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    """All points of one run (files stand in the order of their keys), each key by timestamp, step, value."""
    for piece in pieces:
        if sum(piece.counts):
            yield _batch(piece)


def latest(pieces: Iterable[Piece]) -> dict[str, list[LatestMetric]]:
    """The latest point of each metric by run id: greatest step, then timestamp, then value (NaN as 0)."""
    found: dict[tuple[str, str], LatestMetric] = {}
    for piece in pieces:
        for file, point in _greatest(piece):
            before = found.get((file.run_id, file.key))
            if before is None or _rank(point) > _rank(before):
                found[file.run_id, file.key] = point
    by_run: dict[str, list[LatestMetric]] = {}
    for (run_id, _), point in found.items():
        by_run.setdefault(run_id, []).append(point)
    return by_run


def parse(data: bytes) -> Columns:
    """Whole lines of one file. Raises Broken, naming the first line that is no point."""
    plain = _plain(data)
    return plain if plain is not None else _by_line(data)


def trim(data: bytes) -> bytes:
    """The content of a file without a last line that was not written to its end."""
    if not data or data.endswith(b"\n"):
        return data
    whole, newline, torn = data.rpartition(b"\n")
    before = whole.rpartition(b"\n")[2]
    if _is_point(torn) and (not newline or len(torn.split()) == len(before.split())):
        return data + b"\n"
    return whole + newline


def ignore(file: MetricFile) -> None:
    """Nothing."""


def read_pieces(files: Sequence[MetricFile], refuse: Refuse, torn: Torn = ignore) -> Iterator[Piece]:
    """The points of files, in their order."""
    waiting: list[tuple[MetricFile, bytes]] = []
    size = 0
    for file in files:
        try:
            with closing(blocks(file.path, partial(torn, file))) as parts:
                data = next(parts, b"")
                if len(data) < BLOCK:
                    waiting.append((file, data))
                    size += len(data)
                else:
                    yield from _parsed(waiting, refuse)
                    waiting, size = [], 0
                    yield from _long(file, data, parts)
        except (OSError, Broken) as error:
            refuse(file, error)
        if size > BLOCK:
            yield from _parsed(waiting, refuse)
            waiting, size = [], 0
    yield from _parsed(waiting, refuse)


def blocks(path: str, torn: Callable[[], object] = bool) -> Generator[bytes, None, None]:
    """Whole lines of a file, some megabytes at a time; only the last is shorter than BLOCK. `torn` is called where its
    last line was not written to its end."""
    handle = open_file(path)
    try:
        data = os.read(handle, _FIRST)
        while len(data) >= _FIRST:
            data += os.read(handle, BLOCK + _FIRST - len(data))
            if len(data) < BLOCK + _FIRST:
                break
            cut = data.rfind(b"\n") + 1
            if cut < BLOCK:
                raise Broken("it has a line longer than any that MLflow writes")
            yield data[:cut]
            data = data[cut:] + os.read(handle, _FIRST)
        whole = trim(data)
        if len(whole) < len(data):
            torn()
        if whole:
            yield whole
    finally:
        os.close(handle)


def _long(file: MetricFile, first: bytes, others: Iterator[bytes]) -> Iterator[Piece]:
    lines = 0
    data: bytes | None = first
    while data:
        try:
            columns = parse(data)
        except Broken as error:
            raise Broken(f"{error} (counted from line {lines + 1})" if lines else str(error)) from error
        lines += data.count(b"\n")
        yield Piece([file], [len(columns.step)], columns)
        data = next(others, None)


def _parsed(waiting: Sequence[tuple[MetricFile, bytes]], refuse: Refuse) -> Iterator[Piece]:
    """All at once where all are plain, else one by one."""
    if not waiting:
        return
    if len(waiting) > 1 and (columns := _plain(b"".join(data for _, data in waiting))) is not None:
        counts = [data.count(b"\n") for _, data in waiting]
        if sum(counts) == len(columns.step):
            yield Piece([file for file, _ in waiting], counts, columns)
            return
    for file, data in waiting:
        try:
            columns = parse(data)
        except Broken as error:
            refuse(file, error)
        else:
            yield Piece([file], [len(columns.step)], columns)


def _plain(data: bytes) -> Columns | None:
    """Lines of three numbers. None where there is anything else: what Arrow takes then is what Python takes."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if data.translate(None, _PLAIN):
        return None
    if not data:
        return Columns(pa.array([], pa.int64()), pa.array([], pa.float64()), pa.array([], pa.int64()))
    from pyarrow import csv

    names = ("timestamp", "value", "step")
    types = {"timestamp": pa.int64(), "value": pa.float64(), "step": pa.int64()}
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    return Columns(*(_flat(table[name]) for name in names))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _by_line(data: bytes) -> Columns:
    rows = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            point = _point(line)
            if point is None:
                raise Broken(f"line {number} is no point of a metric: {ascii(line[:80])[2:-1]}")
            rows.append(point)
    timestamps, values, steps, names, digests = zip(*rows, strict=True) if rows else ([], [], [], [], [])
    plain = (pa.array(timestamps, pa.int64()), pa.array(values, pa.float64()), pa.array(steps, pa.int64()))
    if not any(name is not None for name in names):
        return Columns(*plain)
    return Columns(*plain, pa.array(names, pa.string()), pa.array(digests, pa.string()))


def _is_point(line: bytes) -> bool:
    return _point(line) is not None


def _point(line: bytes) -> tuple[int, float, int, str | None, str | None] | None:
    """Timestamp, value, step, dataset name and digest; a name may have spaces in it, which FileStore chokes on."""
    try:
        fields = line.decode().strip().split(" ")
        if len(fields) not in (2, 3) and len(fields) < 5:
            return None
        timestamp, value, step = int(fields[0]), float(fields[1]), int(fields[2]) if len(fields) > 2 else 0
    except ValueError:
        return None
    if not -_LARGEST <= timestamp < _LARGEST or not -_LARGEST <= step < _LARGEST:
        return None
    if len(fields) < 5:
        return timestamp, value, step, None, None
    return timestamp, value, step, " ".join(fields[3:-1]), fields[-1]


def _numbers(piece: Piece) -> pa.Array:
    """For each point the number of its file."""
    if len(piece.files) == 1:
        return pa.repeat(pa.scalar(0, pa.int32()), piece.counts[0])
    import pyarrow.compute as pc

    ends = []
    total = 0
    for count in piece.counts:
        total += count
        ends.append(total)
    filled = [(number, end) for number, (count, end) in enumerate(zip(piece.counts, ends, strict=True)) if count]
    numbers, ends = zip(*filled, strict=True) if filled else ((), ())  # type: ignore[assignment]
    return pc.run_end_decode(
        pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), pa.array(numbers, pa.int32()))
    )


def _order(piece: Piece, numbers: pa.Array, *names: str) -> pa.Array:
    """Where each point goes when they are put in order by file, then these columns."""
    import pyarrow.compute as pc

    columns = piece.columns._asdict()
    value = piece.columns.value
    columns["value"] = pc.if_else(pc.is_nan(value), pa.scalar(0.0), value)
    keys = pa.table({"file": numbers, **{name: columns[name] for name in names}})
    return pc.sort_indices(keys, [(name, "ascending") for name in ("file", *names)])


def _batch(piece: Piece) -> pa.RecordBatch:
    numbers = _numbers(piece)
    order = _order(piece, numbers, "timestamp", "step", "value")
    columns = piece.columns
    keys = pa.DictionaryArray.from_arrays(numbers.take(order), pa.array([file.key for file in piece.files]))
    count = len(order)
    unknown = pa.nulls(count, POINTS.field("model_id").type)
    return pa.RecordBatch.from_arrays(
        [
            keys,
            columns.step.take(order),
            columns.timestamp.take(order),
            columns.value.take(order),
            unknown,
            _names(columns.dataset_name, order),
            _names(columns.dataset_digest, order),
        ],
        schema=POINTS,
    )


def _names(column: pa.Array | None, order: pa.Array) -> pa.Array:
    if column is None:
        return pa.nulls(len(order), POINTS.field("dataset_name").type)
    return column.take(order).dictionary_encode()


def _greatest(piece: Piece) -> Iterator[tuple[MetricFile, LatestMetric]]:
    order = _order(piece, _numbers(piece), "step", "timestamp", "value")
    ends = []
    total = 0
    filled = []
    for file, count in zip(piece.files, piece.counts, strict=True):
        total += count
        if count:
            ends.append(total - 1)
            filled.append(file)
    last = order.take(pa.array(ends, pa.int64()))
    columns: list[list[Any]] = [
        column.take(last).to_pylist() for column in (piece.columns.value, piece.columns.timestamp, piece.columns.step)
    ]
    for file, value, timestamp, step in zip(filled, *columns, strict=True):
        yield file, LatestMetric(file.key, value, timestamp, step)


def _rank(point: LatestMetric) -> tuple[int, int, float]:
    return point.step, point.timestamp, 0.0 if math.isnan(point.value) else point.value
