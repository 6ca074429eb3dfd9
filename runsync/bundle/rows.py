"""Rows of entities (the spans of traces) in Parquet files beside the part that has their documents.

The rows of an entity stand together. Its line of the part says where: `"rows": {"first": 8, "count": 3}`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic

from runsync.bundle import schemas
from runsync.bundle.parts import MOST_GROUP, MOST_ROWS, ROWS_A_GROUP, Sink
from runsync.bundle.store import Incoming, Store
from runsync.errors import BundleDamaged
from runsync.kinds.kind import E, Kind
from runsync.model.wording import many

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BYTES_A_GROUP = 16 << 20
"""Bytes, unpacked, from which on a row group is written."""
MOST_OF_ONE = 256 << 20
"""Bytes, unpacked, of the rows of one entity."""
BYTES_A_FILE = 64 << 20
"""Bytes from which on a file takes the rows of no further entity."""
GROUPS_HELD = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows stand: the file, the first of them, and how many they are."""

    file: str
    first: int
    count: int

    @property
    def document(self) -> dict[str, int]:
        """As a line of a part says it."""
        return {"first": self.first, "count": self.count}


class RowsWriter:
    """Writes the rows of entity after entity. Left without `close`, `abandon` lets go of the file."""

    def __init__(self, incoming: Incoming, schema: "pa.Schema") -> None:
        import pyarrow.parquet as pq

        self.count = 0
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._sink = Sink(incoming)
        self._file = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            store_schema=False,
            write_page_index=False,
            # Texts of megabytes would stand in the footer too.
            write_statistics=[name for name in schema.names if name.endswith(("_id", "_ns"))],
        )

    def add(self, rows: "pa.RecordBatch") -> int:
        """Appends them; gives the number of the first."""
        first = self.count
        if len(rows):
            self._waiting.append(rows)
            self._waiting_bytes += rows.nbytes
            self.count += len(rows)
        if self._waiting_bytes >= BYTES_A_GROUP or len(self._waiting) >= ROWS_A_GROUP:
            self._flush()
        return first

    def close(self) -> None:
        """Ends the file."""
        self._flush()
        self._file.close()

    def abandon(self) -> None:
        """Else the Parquet library would end the file later, when it is gone, and tell of that on stderr."""
        self._sink.is_ignored = True
        with suppress(Exception):
            self._file.close()
        self._file.is_open = False

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._file.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=MOST_ROWS)
            self._waiting = []
            self._waiting_bytes = 0


class RowsReader(Generic[E]):
    """Reads rows of a kind; those last read are held."""

    def __init__(self, store: Store, kind: Kind[E]) -> None:
        self._kind = kind

        @lru_cache(GROUPS_HELD)
        def group(name: str, number: int) -> "pa.Table":
            with open_rows(store, kind, name) as file:
                return _group(file, f"{store.address}/{name}", number)

        @lru_cache(4 * GROUPS_HELD)
        def ends(name: str) -> tuple[int, ...]:
            """The row after the last of each row group."""
            with open_rows(store, kind, name) as file:
                told = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
            return tuple(sum(told[: number + 1]) for number in range(len(told)))

        self._group = group
        self._ends = ends
        self._address = store.address

    def read(self, item: E, place: Place) -> E:
        """The entity with its rows. Raises BundleDamaged where they are not there."""
        name = f"{self._address}/{place.file}"
        table = self._rows(place)
        what = f"{self._kind.noun} {item.key[0]}"
        if len(table) != place.count or set(table.column(0).to_pylist()) - {item.key[0]}:
            raise BundleDamaged(f"{name}: the {self._kind.rows_name} of {what} are not where they should be")
        try:
            return self._kind.with_rows(item, table)
        except ValueError as error:
            raise BundleDamaged(f"{name}: {what}: {error}") from None

    def _rows(self, place: Place) -> "pa.Table":
        import pyarrow as pa

        if not place.count:
            return self._kind.row_schema().empty_table()
        pieces, begin = [], 0
        for number, end in enumerate(self._ends(place.file)):
            first, last = max(place.first, begin), min(place.first + place.count, end)
            if first < last:
                pieces.append(self._group(place.file, number).slice(first - begin, last - first))
            begin = end
        return pa.concat_tables(pieces) if pieces else self._kind.row_schema().empty_table()


@contextmanager
def open_rows(store: Store, kind: Kind[Any], name: str) -> "Iterator[pq.ParquetFile]":
    """A file of rows. Raises BundleDamaged for what is broken, and for columns that are not those of the format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = f"{store.address}/{name}"
    try:
        with store.open(name) as stream:
            file = pq.ParquetFile(stream, pre_buffer=False)
            _check(file, kind, place)
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise BundleDamaged(f"{place}: broken: {why[: schemas.LONGEST]}") from None


def stretches(store: Store, kind: Kind[Any], name: str) -> Sequence[tuple[str, int, int]]:
    """Of a file of rows: id of the entity, first row and row after the last of each stretch. Raises BundleDamaged."""
    import pyarrow.compute as pc

    place = f"{store.address}/{name}"
    found: list[tuple[str, int, int]] = []
    begin = 0
    with open_rows(store, kind, name) as file:
        for number in range(file.metadata.num_row_groups):
            column = _group(file, place, number).column(0).combine_chunks()
            encoded = pc.run_end_encode(column)
            for end, id in zip(encoded.run_ends.to_pylist(), encoded.values.to_pylist(), strict=True):
                first = found[-1][2] if found else 0
                if found and found[-1][0] == id:
                    first = found.pop()[1]
                found.append((id, first, begin + end))
            begin += len(column)
    return found


def place_of(document: Mapping[str, Any], file: str) -> Place:
    """Where a line of a part says that its rows are."""
    return Place(file, document["rows"]["first"], document["rows"]["count"])


def _group(file: "pq.ParquetFile", place: str, number: int) -> "pa.Table":
    table = file.read_row_group(number, use_threads=False)
    told = file.metadata.row_group(number).num_rows
    if len(table) != told:
        raise BundleDamaged(f"{place}: broken: it holds {many(len(table), 'row')} and says {told:,}")
    for name in table.column_names:
        for piece in table[name].chunks:
            piece.validate(full=True)
            if piece.null_count and not table.schema.field(name).nullable:
                raise BundleDamaged(f"{place}: broken: a row has no {name}")
    return table


def _check(file: "pq.ParquetFile", kind: Kind[Any], place: str) -> None:
    wanted = {field.name: field for field in kind.row_schema()}
    found = {field.name: field for field in file.schema_arrow}
    if found.keys() != wanted.keys() or any(found[name].type != wanted[name].type for name in wanted):
        wrong = [n for n in wanted if n not in found or found[n].type != wanted[n].type] or ["there are more"]
        raise BundleDamaged(f"{place}: its columns are not those of {kind.rows_name}: {', '.join(wrong)}")
    for number in range(file.metadata.num_row_groups):
        told = file.metadata.row_group(number)
        if not 0 <= told.num_rows <= MOST_ROWS or not 0 <= told.total_byte_size <= MOST_GROUP:
            raise BundleDamaged(
                f"{place}: row group {number} has {many(told.num_rows, 'row')} of {told.total_byte_size:,} bytes, more "
                f"than the {many(MOST_ROWS, 'row')} of {MOST_GROUP >> 20} MiB that it may have"
            )
