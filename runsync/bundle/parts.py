"""Parts: files of documents (JSON Lines, gzip) and of metric history (Parquet), each named by its own hash."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Self

import orjson

from runsync.bundle import layout, schemas
from runsync.bundle.store import CHUNK, Incoming, Store
from runsync.errors import BundleDamaged
from runsync.model.hashing import sha256_of
from runsync.model.wording import many

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LONGEST_LINE = 64 << 20
"""Bytes of a document."""
MOST_DOCUMENTS = 1_000_000
"""Of a part."""
MOST_UNPACKED = 4 << 30
"""Bytes of a part's documents."""
ROWS_A_GROUP = 1 << 17
MOST_ROWS = 8 * ROWS_A_GROUP
"""Rows of a row group that is read."""
MOST_GROUP = 512 << 20
"""Bytes of one, unpacked."""
LONGEST_NAME = 4096
"""Characters of a run id, or of the name of a metric, model or dataset."""
WRONG_HASH = "its bytes do not have the hash it is named by"


class Sink(io.RawIOBase):
    """A file being written, as libraries expect one. Closing it neither keeps nor discards it."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.is_ignored = False
        """Whether what is still written goes nowhere."""

    def writable(self) -> bool:
        """It is nothing else."""
        return True

    def write(self, data: Any) -> int:
        """Appends, unless it is ignored."""
        return len(data) if self.is_ignored else self._incoming.write(bytes(data))


def write_documents(
    store: Store, kind: str, suffix: str, documents: Iterable[dict[str, Any]], broken: Set[str] = frozenset()
) -> tuple[str, int]:
    """Writes a part of documents; gives its name and bytes. The same documents: the same name.

    A part that is there already is left as it is, unless it is among the `broken`.
    """
    incoming = store.incoming()
    try:
        pack(incoming, kind, documents)
        name = layout.part(incoming.sha256(), suffix)
        incoming.keep(name, replace=name in broken)
        return name, incoming.size
    finally:
        incoming.discard()


def pack(incoming: Incoming, kind: str, documents: Iterable[dict[str, Any]]) -> None:
    """Writes documents into a file that is not kept yet, one a line, each valid. The same documents: the same bytes."""
    unpacked = 0
    with gzip.GzipFile(filename="", mode="wb", fileobj=Sink(incoming), mtime=0) as packed:
        for number, document in enumerate(documents, 1):
            line = line_of(kind, document, f"line {number} of a new part")
            unpacked += packed.write(line)
            _refuse_too_much("a new part", number, len(line), unpacked)


def line_of(kind: str, document: dict[str, Any], place: str) -> bytes:
    """A document as it stands in a part. Raises BundleDamaged, naming the place, when it is invalid or too long."""
    try:
        schemas.check(kind, document, place)
        line = orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError) as error:  # a text that is no Unicode
        raise BundleDamaged(f"{place}: {error}") from None
    if len(line) > LONGEST_LINE:
        raise BundleDamaged(f"{place}: the document of {len(line):,} bytes is longer than {_LONGEST}")
    return line


_LONGEST = f"{LONGEST_LINE >> 20} MiB"


def _refuse_too_much(place: str, number: int, length: int, unpacked: int) -> None:
    """Few bytes of gzip may hold many documents, and long ones: no reader should find that out by its memory."""
    if length > LONGEST_LINE:
        raise BundleDamaged(f"{place}:{number}: the document is longer than {_LONGEST}")
    if number > MOST_DOCUMENTS:
        raise BundleDamaged(f"{place}: it holds more than the {MOST_DOCUMENTS:,} documents that a part may have")
    if unpacked > MOST_UNPACKED:
        raise BundleDamaged(f"{place}: it unpacks to more than the {MOST_UNPACKED >> 30} GiB that a part may have")


def read_documents(store: Store, kind: str, name: str) -> Iterator[dict[str, Any]]:
    """The documents of a part, each valid. Raises BundleDamaged naming file and line."""
    return (document for _, document in read_lines(store, kind, name))


def read_lines(
    store: Store, kind: str, name: str, is_wanted: Callable[[int], bool] | None = None, count: int | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The documents of a part with the numbers of their lines (from 1), or only those wanted.

    Raises likewise, and when there are not as many lines as a manifest says (`count`).
    """
    place = f"{store.address}/{name}"
    number = 0
    content = store.read(name)
    if sha256_of((content,)) != layout.hash_in(name):
        raise BundleDamaged(f"{place}: {WRONG_HASH}")
    try:
        for number, line in enumerate(_lines_in(content, place), 1):
            if is_wanted is not None and not is_wanted(number):
                continue
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise BundleDamaged(f"{place}:{number}: {error}") from None
            schemas.check(kind, document, f"{place}:{number}")
            yield number, document
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BundleDamaged(f"{place}: broken after line {number}: {error}") from None
    if count is not None and number != count:
        raise BundleDamaged(f"{place}: it holds {many(number, 'document')}, not the {count:,} that the manifest says")


def _lines_in(content: bytes, place: str) -> Iterator[bytes]:
    unpacked = number = 0
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            unpacked += len(line)
            _refuse_too_much(place, number, len(line), unpacked)
            yield line


def sound_chunks(store: Store, name: str, what: str) -> Iterator[bytes]:
    """The bytes of a blob, the last of them only once all are known to be those that were stored.

    So whoever is told the size beforehand never has all of a broken one. `what` names it in the error: BundleDamaged.
    """
    running, waiting = hashlib.sha256(), b""
    for chunk in store.chunks(name):
        running.update(chunk)
        if waiting:
            yield waiting
        waiting = chunk
    if running.hexdigest() != layout.hash_in(name):
        raise BundleDamaged(f"{store.address}/{name}: its bytes are not those that were stored ({what})")
    if waiting:
        yield waiting


def has_its_hash(store: Store, name: str) -> bool:
    """Whether a file's bytes have the hash it is named by; reads all of it."""
    return sha256_of(store.chunks(name)) == layout.hash_in(name)


def is_kept_sound(store: Store, name: str) -> bool:
    """Whether a file has the hash it is named by, as S3 tells where it keeps one; else all of it is read."""
    try:
        kept = store.hash_kept(name)
        return kept == layout.hash_in(name) if kept else has_its_hash(store, name)
    except BundleDamaged:
        return False


def is_hash_of(stream: IO[bytes], name: str) -> bool:
    """Whether the bytes of an open file have the hash that it is named by; reads to its end."""
    return sha256_of(iter(lambda: stream.read(CHUNK), b"")) == layout.hash_in(name)


class MetricsWriter:
    """Writes the history of run after run into one part. Left without `close`, it lets go of the file."""

    def __init__(self, incoming: Incoming) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from runsync.model.points import POINTS

        self.rows = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._schema = pa.schema([pa.field("run_id", pa.dictionary(pa.int32(), pa.string()), nullable=False), *POINTS])
        named = ["run_id", "key", "model_id", "dataset_name", "dataset_digest"]
        self._sink = Sink(incoming)
        self._file = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            use_dictionary=named,
            column_encoding={
                "step": "DELTA_BINARY_PACKED",
                "timestamp": "DELTA_BINARY_PACKED",
                "value": "BYTE_STREAM_SPLIT",
            },
            store_schema=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Else the Parquet library would end the file later, when it is gone, and tell of that on stderr."""
        self._sink.is_ignored = True
        with suppress(Exception):
            self._file.close()
        self._file.is_open = False

    def add(self, run_id: str, history: "Iterable[pa.RecordBatch]") -> int:
        """Appends a run's history; gives its number of points. `rows` counts also what a broken-off history left."""
        import pyarrow as pa

        count = 0
        for points in history:
            zeros = pa.repeat(pa.scalar(0, pa.int32()), len(points))
            column = pa.DictionaryArray.from_arrays(zeros, pa.array([run_id]))
            self._waiting.append(pa.RecordBatch.from_arrays([column, *points.columns], schema=self._schema))
            self._waiting_rows += len(points)
            count += len(points)
            self.rows += len(points)
            if self._waiting_rows >= ROWS_A_GROUP:
                self._flush()
        return count

    def close(self) -> None:
        """Ends the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
            self._file.write_table(table, row_group_size=ROWS_A_GROUP)
            self._waiting, self._waiting_rows = [], 0


@contextmanager
def open_metrics(store: Store, name: str) -> "Iterator[pq.ParquetFile]":
    """A metrics part for reading. Raises BundleDamaged naming the file, also for what is broken deeper inside."""
    with store.open(name) as stream, parquet_of(stream, f"{store.address}/{name}") as file:
        yield file


@contextmanager
def parquet_of(stream: IO[bytes], place: str) -> "Iterator[pq.ParquetFile]":
    """An open metrics part. Raises BundleDamaged likewise, and for one whose columns are not those of the format."""
    import pyarrow as pa

    try:
        file = _opened(stream)
        _check_columns(file, place)
        yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise BundleDamaged(f"{place}: broken: {why[: schemas.LONGEST]}") from None


def _opened(stream: IO[bytes]) -> "pq.ParquetFile":
    """Read by the caller's thread alone: one of Arrow's may still hold the stream, a Python object, when the process
    ends, which aborts it. So nothing is read ahead (`pre_buffer`), and columns not side by side (`use_threads`)."""
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(stream, read_dictionary=["run_id", *_NAMES], pre_buffer=False)
    except KeyError:  # there is no column of one of these names
        return pq.ParquetFile(stream, pre_buffer=False)


_NAMES = ("key", "model_id", "dataset_name", "dataset_digest")
_NEVER_NULL = ("run_id", "key", "step", "timestamp", "value")


def _check_columns(file: "pq.ParquetFile", place: str) -> None:
    import pyarrow as pa

    from runsync.model.points import POINTS

    wanted = {"run_id": pa.dictionary(pa.int32(), pa.string())} | {field.name: field.type for field in POINTS}
    found = {field.name: field.type for field in file.schema_arrow}
    if found != wanted or len(file.schema_arrow) != len(wanted):
        wrong = [n for n in wanted if found.get(n) != wanted[n]] or ["there are more"]
        raise BundleDamaged(f"{place}: its columns are not those of metric points: {', '.join(wrong)}")
    for group in range(file.metadata.num_row_groups):
        told = file.metadata.row_group(group)
        if not 0 <= told.num_rows <= MOST_ROWS or not 0 <= told.total_byte_size <= MOST_GROUP:
            raise BundleDamaged(
                f"{place}: row group {group} has {told.num_rows:,} rows of {told.total_byte_size:,} bytes, more than "
                f"the {MOST_ROWS:,} rows of {MOST_GROUP >> 20} MiB that it may have"
            )


def read_points(
    file: "pq.ParquetFile", place: str, group: int | None = None, columns: list[str] | None = None
) -> "pa.Table":
    """A row group (or all of a part), in one piece. Raises BundleDamaged for a null, a long name, and rows missing."""
    how = {"columns": columns, "use_threads": False}
    table = file.read(**how) if group is None else file.read_row_group(group, **how)
    told = file.metadata if group is None else file.metadata.row_group(group)
    table = table.combine_chunks()
    if len(table) != told.num_rows:
        raise BundleDamaged(f"{place}: broken: it holds {many(len(table), 'point')} and says {told.num_rows:,}")
    for name in table.column_names:
        for piece in table[name].chunks:
            piece.validate(full=True)
            if name in _NEVER_NULL and piece.null_count:
                raise BundleDamaged(f"{place}: broken: a point has no {name}")
            if (name == "run_id" or name in _NAMES) and _longest(piece.dictionary) > LONGEST_NAME:
                raise BundleDamaged(f"{place}: broken: a {name} is longer than {LONGEST_NAME:,} characters")
    return table


def _longest(names: "pa.Array") -> int:
    return max((len(name) for name in names.to_pylist() if name is not None), default=0)
