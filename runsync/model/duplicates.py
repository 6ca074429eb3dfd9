"""Metric histories without exact duplicates, which file stores hold and databases do not take.

A history mostly stands in order of key, timestamp and step; then duplicates are neighbours, and it streams through.
Of a key whose points go back in time, the points from there on are held, and compared in a second reading.
"""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from runsync.model.points import POINTS, stored_bits

Again = Callable[[], Iterable[pa.RecordBatch]]
_PLACE = ("timestamp", "step", "bits")


def without_duplicates(history: Iterable[pa.RecordBatch], again: Again) -> Iterator[pa.RecordBatch]:
    """Each point once, of those that a database takes for the same the first; `again` reads the same history anew."""
    walk = _Walk()
    for points in history:
        if walk.is_plain(points):
            yield points
            walk.go_on(points)
        else:
            for key, stretch in _stretches(points):
                yield from walk.take(key, stretch)
    if walk.late:
        yield from _late(walk, again())


class _Walk:
    """Where the reading of a history stands."""

    def __init__(self) -> None:
        self.late: dict[str, list[pa.RecordBatch]] = {}
        """By key the points behind the first that goes back in time."""
        self.before: dict[str, int] = {}
        """By key of those: how many points stand before."""
        self._key: str | None = None
        self._place: tuple[int, int] = (0, 0)
        self._seen: set[int] = set()
        """Values at that place."""
        self._count = 0

    def is_plain(self, points: pa.RecordBatch) -> bool:
        """Whether it stands in order, without two points at one place."""
        if not len(points):
            return True
        import pyarrow.compute as pc

        key = _key_at(points, 0)
        if key in self.late or (key == self._key and _place_at(points, 0) <= self._place):
            return False
        codes = _codes(points)
        same_key = pc.equal(codes[1:], codes[:-1])
        return not pc.any(pc.and_(same_key, pc.invert(_rises(points)))).as_py()

    def go_on(self, points: pa.RecordBatch) -> None:
        """Notes the end of points that stand in order."""
        if not len(points):
            return
        key, last = _key_at(points, -1), _place_at(points, -1)
        bits = stored_bits(points["value"][-1:])[0].as_py()
        since = _last_stretch(points)
        self._count = since + (self._count if key == self._key and since == len(points) else 0)
        self._key, self._place, self._seen = key, last, {bits}

    def take(self, key: str, points: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Points of one key: those in order, each once; the others are late."""
        if key in self.late:
            self.late[key].append(points)
            return
        if key != self._key:
            self._key, self._place, self._seen, self._count = key, (0, 0), set(), 0
        ordered = points.slice(0, self._in_order(points))
        if len(ordered):
            yield self._once(ordered)
        self._count += len(ordered)
        if len(ordered) < len(points):
            self.before[key] = self._count
            self.late[key] = [points.slice(len(ordered))]

    def _in_order(self, points: pa.RecordBatch) -> int:
        import pyarrow.compute as pc

        if self._count and _place_at(points, 0) < self._place:
            return 0
        first = pc.index(_falls(points), True).as_py()
        return len(points) if first < 0 else first + 1

    def _once(self, points: pa.RecordBatch) -> pa.RecordBatch:
        """The points without duplicates; notes where they end."""
        import pyarrow.compute as pc

        bits = stored_bits(points["value"])
        at_start = _equal_to(points, self._place) if self._count else None
        rows = _first_rows(points, bits)
        if at_start is not None and self._seen:
            known = pc.and_(at_start, pc.is_in(bits, pa.array(list(self._seen), pa.int64())))
            rows = rows.filter(pc.invert(known.take(rows)))
        last = _place_at(points, -1)
        seen = set(bits.filter(_equal_to(points, last)).to_pylist())
        self._seen = seen | self._seen if self._count and last == self._place else seen
        self._place = last
        return points.take(rows)


def _late(walk: _Walk, history: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of the late points those that do not stand before, each once."""
    tables = {key: pa.Table.from_batches(batches, POINTS).combine_chunks() for key, batches in walk.late.items()}
    left = {}
    for key, table in tables.items():
        points = table.to_batches()[0]
        rows = _first_rows(points, stored_bits(points["value"]))
        left[key] = _places(points).append_column("row", _row_numbers(len(points))).take(rows)
    met = dict.fromkeys(tables, 0)
    for batch in history:
        for key, stretch in _stretches(batch):
            if key in tables and met[key] < walk.before[key]:
                before = stretch.slice(0, walk.before[key] - met[key])
                met[key] += len(before)
                left[key] = left[key].join(_places(before), list(_PLACE), join_type="left anti", use_threads=False)
    for key, table in tables.items():
        rows = left[key]["row"].combine_chunks().sort()
        yield from table.take(rows).to_batches()


def _places(points: pa.RecordBatch) -> pa.Table:
    columns = [points["timestamp"], points["step"], stored_bits(points["value"])]
    return pa.Table.from_arrays(columns, list(_PLACE))


def _first_rows(points: pa.RecordBatch, bits: pa.Array) -> pa.Array:
    """Row numbers, ascending, of the points (of one key) that are the first of their duplicates."""
    columns = [points["timestamp"], points["step"], bits, _row_numbers(len(points))]
    table = pa.Table.from_arrays(columns, [*_PLACE, "row"])
    grouped = table.group_by(list(_PLACE), use_threads=False).aggregate([("row", "min")])
    return grouped["row_min"].combine_chunks().sort()


def _row_numbers(count: int) -> pa.Array:
    return pa.array(range(count), pa.int64())


def _rises(points: pa.RecordBatch) -> pa.Array:
    """Of each row but the first: whether its place is beyond that of the row before."""
    import pyarrow.compute as pc

    time, step = points["timestamp"], points["step"]
    later = pc.and_(pc.equal(time[1:], time[:-1]), pc.greater(step[1:], step[:-1]))
    return pc.or_(pc.greater(time[1:], time[:-1]), later)


def _falls(points: pa.RecordBatch) -> pa.Array:
    """Of each row but the first: whether its place is before that of the row before."""
    import pyarrow.compute as pc

    time, step = points["timestamp"], points["step"]
    earlier = pc.and_(pc.equal(time[1:], time[:-1]), pc.less(step[1:], step[:-1]))
    return pc.or_(pc.less(time[1:], time[:-1]), earlier)


def _equal_to(points: pa.RecordBatch, place: tuple[int, int]) -> pa.Array:
    import pyarrow.compute as pc

    return pc.and_(pc.equal(points["timestamp"], place[0]), pc.equal(points["step"], place[1]))


def _place_at(points: pa.RecordBatch, row: int) -> tuple[int, int]:
    return points["timestamp"][row].as_py(), points["step"][row].as_py()


def _key_at(points: pa.RecordBatch, row: int) -> str:
    return str(points["key"][row].as_py())


def _codes(points: pa.RecordBatch) -> pa.Array:
    """A number a key."""
    key = points["key"]
    return key.indices if pa.types.is_dictionary(key.type) else key.dictionary_encode().indices


def _ends(points: pa.RecordBatch) -> list[int]:
    """Where the stretches of one key end."""
    import pyarrow.compute as pc

    ends: list[int] = pc.run_end_encode(_codes(points)).run_ends.to_pylist()
    return ends


def _last_stretch(points: pa.RecordBatch) -> int:
    """How many rows the last key has."""
    ends = _ends(points)
    return ends[-1] - (ends[-2] if len(ends) > 1 else 0)


def _stretches(points: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The points key by key, as they stand."""
    start = 0
    for end in _ends(points) if len(points) else ():
        yield _key_at(points, start), points.slice(start, end - start)
        start = end


def lacking(wanted: pa.Table, present: pa.Table) -> list[pa.RecordBatch]:
    """The points of `wanted`, each once, that `present` lacks: two that a database takes for one are the same."""
    places = _with_keys(wanted).append_column("row", _row_numbers(len(wanted)))
    first = places.group_by(["key", *_PLACE], use_threads=False).aggregate([("row", "min")])
    left = first.join(_with_keys(present), ["key", *_PLACE], join_type="left anti", use_threads=False)
    rows = left["row_min"].combine_chunks().sort()
    return wanted.take(rows).to_batches() if len(rows) else []


def repeated(points: pa.Table) -> int:
    """How many points stand there already before them."""
    return len(points) - len(_with_keys(points).group_by(["key", *_PLACE], use_threads=False).aggregate([]))


def _with_keys(points: pa.Table) -> pa.Table:
    plain = points.select(["key", "timestamp", "step"]).set_column(0, "key", points["key"].cast(pa.string()))
    value = points["value"].combine_chunks()
    return plain.append_column("bits", stored_bits(value))
