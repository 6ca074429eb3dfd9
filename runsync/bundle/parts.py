"""Parts: files of documents (JSON Lines, gzip) and of metric history (Parquet), each named by its own hash."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import orjson

from runsync.bundle import layout, schemas
from runsync.bundle.store import CHUNK, Incoming, Store
from runsync.errors import BundleDamaged
from runsync.model.hashing import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_A_GROUP = 1 << 17
WRONG_HASH = "its bytes do not have the hash it is named by"


class _Sink(io.RawIOBase):
    """A file being written, as libraries expect one. Closing it neither keeps nor discards it."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._incoming.write(bytes(data))


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
    with gzip.GzipFile(filename="", mode="wb", fileobj=_Sink(incoming), mtime=0) as packed:
        for number, document in enumerate(documents, 1):
            schemas.check(kind, document, f"line {number} of a new part")
            packed.write(orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))


def read_documents(store: Store, kind: str, name: str) -> Iterator[dict[str, Any]]:
    """The documents of a part, each valid. Raises BundleDamaged naming file and line."""
    return (document for _, document in read_lines(store, kind, name))


def read_lines(
    store: Store, kind: str, name: str, wanted: Set[int] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The documents of a part with the numbers of their lines (from 1), or only those wanted. Raises likewise."""
    place = f"{store.address}/{name}"
    number = 0
    content = store.read(name)
    if sha256_of((content,)) != layout.hash_in(name):
        raise BundleDamaged(f"{place}: {WRONG_HASH}")
    try:
        for number, line in enumerate(gzip.GzipFile(fileobj=io.BytesIO(content)), 1):
            if wanted is not None and number not in wanted:
                continue
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise BundleDamaged(f"{place}:{number}: {error}") from None
            schemas.check(kind, document, f"{place}:{number}")
            yield number, document
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BundleDamaged(f"{place}: broken after line {number}: {error}") from None


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


def is_hash_of(stream: IO[bytes], name: str) -> bool:
    """Whether the bytes of an open file have the hash that it is named by; reads to its end."""
    return sha256_of(iter(lambda: stream.read(CHUNK), b"")) == layout.hash_in(name)


class MetricsWriter:
    """Writes the history of run after run into one part."""

    def __init__(self, incoming: Incoming) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from runsync.model.points import POINTS

        self.rows = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._schema = pa.schema([pa.field("run_id", pa.dictionary(pa.int32(), pa.string()), nullable=False), *POINTS])
        named = ["run_id", "key", "model_id", "dataset_name", "dataset_digest"]
        self._file = pq.ParquetWriter(
            _Sink(incoming),
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
    """An open metrics part. Raises BundleDamaged likewise."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield pq.ParquetFile(stream, read_dictionary=["run_id", "key", "model_id", "dataset_name", "dataset_digest"])
    except (pa.ArrowException, OSError) as error:
        raise BundleDamaged(f"{place}: broken: {str(error).splitlines()[0]}") from None
