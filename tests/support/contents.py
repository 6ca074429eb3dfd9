"""What stands in bytes as somebody reads them: as they are, and unpacked."""

import io
import zlib
from collections.abc import Iterator

GZIP, PARQUET = b"\x1f\x8b", b"PAR1"


def contents(raw: bytes) -> Iterator[bytes]:
    """The bytes, and what is packed in them: all of a gzip, the texts of a Parquet file."""
    yield raw
    if raw.startswith(GZIP):
        yield unpacked(raw)
    elif raw.startswith(PARQUET):
        yield from texts(raw)


def unpacked(raw: bytes) -> bytes:
    """As much of a gzip as can be read: tests cut files, and break them."""
    parts = []
    while raw.startswith(GZIP):
        unpacking = zlib.decompressobj(wbits=31)
        try:
            parts.append(unpacking.decompress(raw))
        except zlib.error:
            break
        raw = unpacking.unused_data
    return b"".join(parts)


def texts(raw: bytes) -> Iterator[bytes]:
    """The values of all columns but those of numbers in a Parquet file; nothing of a broken one."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(io.BytesIO(raw))
        names = [field.name for field in schema if not pa.types.is_primitive(field.type)]
        table = parquet.read_table(io.BytesIO(raw), columns=names)
    except (pa.ArrowException, OSError):
        return
    for chunk in (chunk for column in table.columns for chunk in column.chunks):
        values = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
        yield from (buffer.to_pybytes() for buffer in values.buffers() if buffer)
