"""Evaluation datasets: records that people or programs gathered, with which models and agents are judged."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import changed_fields, lacking_entries
from runsync.kinds.document import Document, DocumentKind, names_of
from runsync.kinds.kind import EXPERIMENTS, Key, Resolve, is_same
from runsync.kinds.spans import to_json
from runsync.kinds.traces import TRACES
from runsync.model.identity import FROM, ORIGIN_DATASET, own_tags_removed

if TYPE_CHECKING:
    import pyarrow as pa

    from runsync.kinds.redaction import Redactor
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange

TRACE_ID = "trace_id"
"""The entry of the data of a record's source that names a trace."""


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """`inputs`, `outputs` and `expectations` are values of JSON; None where there are none. A dataset has the same
    inputs once. `source` is where it comes from, as MLflow has it: `{"source_type": …, "source_data": {…}}`. Times are
    in epoch milliseconds."""

    record_id: str
    inputs: Any
    outputs: Any = None
    expectations: Any = None
    tags: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, Any] | None = None
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def subject(self) -> str:
        """Its inputs, by which a dataset knows it."""
        return _sorted_json(self.inputs)

    @property
    def told(self) -> str:
        """All but its id, who made it and when."""
        return _sorted_json([self.inputs, self.outputs, self.expectations or {}, dict(self.tags), self.source])


@dataclass(frozen=True, slots=True)
class EvaluationDataset(Document):
    """`schema`, `profile` and `digest` are texts that MLflow makes of the records. `records` are read in a second step
    (None until then); `record_count` and `record_digest` tell which they are once they were. Times are in epoch
    milliseconds."""

    dataset_id: str
    name: str
    experiment_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    schema: str = ""
    profile: str = ""
    digest: str = ""
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    record_count: int | None = None
    record_digest: str = ""
    records: tuple[DatasetRecord, ...] | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        """Ids are global; names are not unique."""
        return (self.dataset_id,)

    @property
    def born_as(self) -> str:
        """See `Document`. A tag tells it."""
        return self.tags.get(ORIGIN_DATASET) or self.dataset_id

    @property
    def came_from(self) -> str:
        """The key of the workspace that a copy was brought from; "" for what is no copy."""
        from runsync.model.provenance import key_of

        return key_of(self.tags.get(FROM, ""))

    @property
    def by_subject(self) -> dict[str, DatasetRecord]:
        """Its records."""
        return {record.subject: record for record in self.records or ()}

    def with_records(self, records: Iterable[DatasetRecord]) -> "EvaluationDataset":
        """The complete one."""
        ordered = tuple(sorted(records, key=lambda record: (record.created_at or 0, record.record_id)))
        running = hashlib.sha256()
        for record in ordered:
            running.update("\0".join(map(str, _row(record))).encode(errors="surrogatepass"))
        return replace(self, records=ordered, record_count=len(ordered), record_digest=running.hexdigest())

    def to_document(self) -> dict[str, Any]:
        """See `Entity`. Records stand in rows beside it."""
        values = {name: getattr(self, name) for name in names_of(self) if name != "records"}
        return {**values, "experiment_ids": list(self.experiment_ids), "tags": dict(self.tags)}


class _EvaluationDatasets(DocumentKind[EvaluationDataset]):
    name = "evaluation-datasets"
    noun = "evaluation dataset"
    entity = EvaluationDataset
    rows_name = "records"
    requires = (EXPERIMENTS, TRACES.name)
    id_field = "dataset_id"
    set_by_servers = ("schema", "profile", "digest", "created_by", "updated_by", "created_at", "updated_at")
    has_own_marks = True

    def place(self, item: EvaluationDataset) -> Key:
        """Two are the same that say the same."""
        return (item.name, *item.experiment_ids, "", *sorted(record.told for record in item.records or ()))

    def meant(self, item: EvaluationDataset, scope: "Scope") -> EvaluationDataset | None:
        """Where only some experiments are meant: those that belong to any of these."""
        if scope.everything or not scope.is_narrow:
            return item
        chosen = {experiment.experiment_id for experiment in scope.experiments}
        return item if not scope.is_of_runs and chosen.intersection(item.experiment_ids) else None

    def reuse(self, stored: EvaluationDataset, item: EvaluationDataset) -> EvaluationDataset | None:
        """A list tells of each change of the records."""
        if item.record_count is not None or stored.record_count is None:
            return None
        told = replace(item, record_count=stored.record_count, record_digest=stored.record_digest)
        return stored if is_same(told, stored) else None

    def redacted(self, item: EvaluationDataset, redactor: "Redactor") -> EvaluationDataset:
        """Its records."""
        if item.records is None:
            return item
        names = ("inputs", "outputs", "expectations", "tags")
        records = tuple(
            replace(one, **{name: redactor.value(getattr(one, name), "records", name) for name in names})
            for one in item.records
        )
        return item if records == item.records else item.with_records(records)

    def row_schema(self) -> "pa.Schema":
        """`inputs`, `outputs`, `expectations`, `tags` and `source` are JSON text."""
        import pyarrow as pa

        text, number = pa.string(), pa.int64()
        needed = ("dataset_id", "record_id", "inputs", "outputs", "expectations", "tags", "source")
        return pa.schema(
            [
                *(pa.field(name, text, nullable=False) for name in (*needed, "created_by", "updated_by")),
                *(pa.field(name, number) for name in ("created_at", "updated_at")),
            ]
        )

    def rows(self, item: EvaluationDataset) -> "pa.RecordBatch":
        """Its records."""
        import pyarrow as pa

        schema = self.row_schema()
        rows = [(item.dataset_id, *_row(record)) for record in item.records or ()]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in schema.names]
        try:
            return pa.RecordBatch.from_pydict(dict(zip(schema.names, columns, strict=True)), schema=schema)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise ValueError(f"its records cannot be stored: {error}") from None

    def with_rows(self, item: EvaluationDataset, table: "pa.Table") -> EvaluationDataset:
        """With its records."""
        return replace(item, records=tuple(_record(row) for row in table.to_pylist()))

    def rewritten(self, item: EvaluationDataset, resolve: Resolve) -> EvaluationDataset | None:
        """Of its experiments those that are there. A trace that is not there stays named by its old id."""
        homes = (resolve(EXPERIMENTS, id) for id in item.experiment_ids)
        ids = tuple(sorted(home for home in homes if home is not None))
        there = replace(item, dataset_id=resolve(self.name, item.dataset_id) or item.dataset_id, experiment_ids=ids)
        if item.records is None:
            return there
        moved = tuple(_moved(record, resolve) for record in item.records)
        return there if moved == item.records else there.with_records(moved)

    def marked(self, item: EvaluationDataset, origin: str, came_from: str) -> EvaluationDataset:
        """See `DocumentKind`."""
        return replace(item, tags={**own_tags_removed(item.tags), ORIGIN_DATASET: origin, FROM: came_from})

    def joined(self, item: EvaluationDataset, there: EvaluationDataset) -> EvaluationDataset:
        """Tags, experiments and records that it has besides stay."""
        tags = {**there.tags, **own_tags_removed(item.tags)}
        homes = tuple(sorted({*item.experiment_ids, *there.experiment_ids}))
        has, wanted = there.by_subject, item.by_subject
        kept = [record for subject, record in has.items() if subject not in wanted]
        settled = [_settled(record, has.get(subject)) for subject, record in wanted.items()]
        return replace(item, tags=tags, experiment_ids=homes).with_records([*settled, *kept])

    def changes(self, old: EvaluationDataset, new: EvaluationDataset) -> Iterator["FieldChange"]:
        """Records one by one, where both sides have them at hand."""
        apart = {"records"} if old.records is None or new.records is None else {"records", "record_digest"}
        yield from changed_fields(old, new, (name for name in names_of(old) if name not in apart))
        if "record_digest" in apart:
            before, after = old.by_subject, new.by_subject
            for subject in sorted(before.keys() | after.keys()):
                if before.get(subject) != after.get(subject):
                    yield _changed(before.get(subject), after.get(subject))

    def lacks(self, wanted: EvaluationDataset, there: EvaluationDataset) -> Iterator["FieldChange"]:
        """A workspace may have more tags, experiments and records, and gives ids and times of its own."""
        yield from changed_fields(wanted, there, ("name",))
        yield from lacking_entries("tags", own_tags_removed(wanted.tags), there.tags)
        lost = sorted(set(wanted.experiment_ids) - set(there.experiment_ids))
        yield from lacking_entries("experiment_ids", dict.fromkeys(lost, "belongs to it"), {})
        has = there.by_subject
        for subject, record in wanted.by_subject.items():
            other = has.get(subject)
            if other is None or other.told != record.told:
                yield _changed(record, other)


def _row(record: DatasetRecord) -> tuple[Any, ...]:
    """In the order of the columns, from `record_id` on."""
    values = (record.inputs, record.outputs, record.expectations, dict(record.tags), record.source)
    who = (record.created_by, record.updated_by)
    return (record.record_id, *map(to_json, values), *who, record.created_at, record.updated_at)


def _record(row: Mapping[str, Any]) -> DatasetRecord:
    """The reverse. Raises ValueError for a text that is no JSON of the right form."""
    try:
        told = {name: json.loads(row[name]) for name in ("inputs", "outputs", "expectations", "tags", "source")}
    except RecursionError as error:
        raise ValueError(f"record {row['record_id']}: {error}") from None
    if not isinstance(told["tags"], dict) or not isinstance(told["source"], dict | None):
        raise ValueError(f"record {row['record_id']}: its tags or its source have another form")
    rest = {name: row[name] for name in ("record_id", "created_by", "updated_by", "created_at", "updated_at")}
    return DatasetRecord(**told, **rest)


def _moved(record: DatasetRecord, resolve: Resolve) -> DatasetRecord:
    data = (record.source or {}).get("source_data")
    id = data.get(TRACE_ID) if isinstance(data, dict) else None
    there = resolve(TRACES.name, id) if isinstance(id, str) else None
    if record.source is None or not isinstance(data, dict) or there in (None, id):
        return record
    return replace(record, source={**record.source, "source_data": {**data, TRACE_ID: there}})


def _settled(record: DatasetRecord, there: DatasetRecord | None) -> DatasetRecord:
    """As one is to read where the target knows its inputs under another id."""
    if there is None or there.record_id == record.record_id:
        return record
    if there.told == record.told:
        return there
    kept = {name: getattr(there, name) for name in ("record_id", "created_by", "created_at")}
    return replace(record, **kept)


def _sorted_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _changed(old: DatasetRecord | None, new: DatasetRecord | None) -> "FieldChange":
    from runsync.model.comparison import FieldChange

    named = (old or new or DatasetRecord("", None)).record_id
    return FieldChange(f"records.{named}", old.told if old else "missing", new.told if new else "missing")


EVALUATION_DATASETS = _EvaluationDatasets()
