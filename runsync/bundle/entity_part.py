"""A part of entities on its way: their documents are gathered, their rows written as they come."""

from typing import TYPE_CHECKING, Any, Generic

from runsync.bundle import layout, parts
from runsync.bundle.entities import StoredEntities
from runsync.bundle.manifest import ObjectsPart, PartFile
from runsync.bundle.rows import BYTES_A_FILE, MOST_OF_ONE, RowsWriter
from runsync.bundle.store import Incoming, Store
from runsync.bundle.suspects import Reusable
from runsync.errors import BundleDamaged
from runsync.kinds.kind import E, Kind

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENTS_A_PART = 1000


class EntityPart(Generic[E]):
    """One part. The same documents make the same file, in whichever order they come, unless there are rows."""

    def __init__(self, kind: Kind[E], store: Store, stored: Reusable, known: StoredEntities[E]) -> None:
        self._kind = kind
        self._store = store
        self._stored = stored
        self._known = known
        self._documents: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self._incoming: Incoming | None = None
        self._rows: RowsWriter | None = None

    @property
    def is_full(self) -> bool:
        """Whether it takes no more."""
        is_long = self._incoming is not None and self._incoming.size >= BYTES_A_FILE
        return len(self._documents) >= DOCUMENTS_A_PART or is_long

    def add(self, item: E) -> None:
        """One more. Raises BundleDamaged where there can be no document of it, and the part is as it was."""
        document = item.to_document()
        name = f"the document of {self._kind.noun} {item.name}"
        if not self._kind.rows_name:
            parts.line_of(self._kind.schema, document, name)
        else:
            rows = self._rows_of(item)
            place = {"first": 0, "count": len(rows)}
            parts.line_of(self._kind.schema, {**document, "rows": place}, name)
            document["rows"] = {**place, "first": self._writer().add(rows)}
        self._documents.append((item.key, document))

    def close(self) -> ObjectsPart | None:
        """Keeps the files; None where there is nothing to keep."""
        if not self._documents:
            self.abandon()
            return None
        rows = self._keep_rows()
        if not self._kind.rows_name:
            self._documents.sort(key=lambda each: each[0])
        suffix = layout.ENTITIES[self._kind.name]
        documents = (document for _, document in self._documents)
        path, size = parts.write_documents(self._store, self._kind.schema, suffix, documents, self._known.broken)
        self._stored.arrived(path, size)
        return ObjectsPart(self._kind.name, PartFile(path, size, len(self._documents)), rows=rows)

    def abandon(self) -> None:
        """Lets go of what was written."""
        if self._rows is not None:
            self._rows.abandon()
        if self._incoming is not None:
            self._incoming.discard()
        self._rows = self._incoming = None

    def _rows_of(self, item: E) -> "pa.RecordBatch":
        what = f"the {self._kind.rows_name} of {self._kind.noun} {item.name}"
        try:
            rows = self._kind.rows(item)
        except ValueError as error:
            raise BundleDamaged(f"{what}: {error}") from None
        if rows.nbytes > MOST_OF_ONE:
            raise BundleDamaged(f"{what} take {rows.nbytes:,} bytes, more than {MOST_OF_ONE >> 20} MiB")
        return rows

    def _writer(self) -> RowsWriter:
        if self._rows is None:
            self._incoming = self._store.incoming()
            self._rows = RowsWriter(self._incoming, self._kind.row_schema())
        return self._rows

    def _keep_rows(self) -> PartFile | None:
        if self._rows is None or self._incoming is None or not self._rows.count:
            self.abandon()
            return None
        self._rows.close()
        incoming, count = self._incoming, self._rows.count
        self._rows = self._incoming = None
        try:
            path = layout.part(incoming.sha256(), layout.ROWS[self._kind.name])
            self._stored.keep(incoming, path)
            return PartFile(path, incoming.size, count)
        finally:
            incoming.discard()
