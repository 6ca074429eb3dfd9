"""Evaluation datasets in the database, with their records."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runsync.errors import RequestRefused
from runsync.kinds.evaluation_datasets import TRACE_ID, DatasetRecord, EvaluationDataset
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

_RECORDS, _TAGS, _LINKS = "evaluation_dataset_records", "evaluation_dataset_tags", "entity_associations"
_DATASET, _EXPERIMENT = "evaluation_dataset", "experiment"
"""What `entity_associations` calls them."""
_WRAPPED = "mlflow_wrapped"
"""Outputs are values of any kind; the column has them as the entry of an object (MLflow 3.17)."""


class EvaluationDatasets(Shape[EvaluationDataset]):
    """See `Shape`."""

    table = "evaluation_datasets"
    id = "dataset_id"
    children = (
        Child(_TAGS, "dataset_id", ("key",)),
        Child(_RECORDS, "dataset_id", ("dataset_record_id",)),
        Child(_LINKS, "source_id", ("destination_type", "destination_id")),
    )

    def item(self, row: Row, children: Rows) -> EvaluationDataset:
        """See `Shape`."""
        homes = (one["destination_id"] for one in children[_LINKS] if one["destination_type"] == _EXPERIMENT)
        item = EvaluationDataset(
            dataset_id=row["dataset_id"],
            name=row["name"],
            experiment_ids=tuple(sorted(map(str, homes))),
            tags={one["key"]: one["value"] or "" for one in children[_TAGS]},
            schema=row["schema"] or "",
            profile=row["profile"] or "",
            digest=row["digest"] or "",
            created_by=row["created_by"] or "",
            updated_by=row["last_updated_by"] or "",
            created_at=row["created_time"],
            updated_at=row["last_update_time"],
        )
        return item.with_records(_record(one) for one in children[_RECORDS])

    def rows(self, item: EvaluationDataset) -> Rows:
        """See `Shape`."""
        of: Row = {"dataset_id": item.dataset_id}
        dataset = of | {
            "name": item.name,
            "schema": item.schema or None,
            "profile": item.profile or None,
            "digest": item.digest or None,
            "created_time": item.created_at or 0,
            "last_update_time": item.updated_at or 0,
            "created_by": item.created_by or None,
            "last_updated_by": item.updated_by or None,
        }
        links = [
            {
                "association_id": uuid.uuid4().hex,
                "source_type": _DATASET,
                "source_id": item.dataset_id,
                "destination_type": _EXPERIMENT,
                "destination_id": home,
                "created_time": item.created_at or 0,
            }
            for home in item.experiment_ids
        ]
        return {
            self.table: [dataset],
            _TAGS: [of | {"key": key, "value": value} for key, value in sorted(item.tags.items())],
            _RECORDS: [of | _row(record) for record in item.records or ()],
            _LINKS: links,
        }

    def prepared(self, part: Part, connection: "Connection", item: EvaluationDataset) -> EvaluationDataset:
        """See `Shape`. Ids are those of the whole database."""
        from sqlalchemy import select

        table = part.table(self.table)
        if "workspace" in table.c:
            asked = select(table.c.workspace).where(table.c.dataset_id == item.dataset_id)
            home = connection.execute(asked).scalar()
            if home not in (None, part.workspace):
                raise RequestRefused(f"its id is that of another dataset, in the workspace {home}: not touched")
        return item if part.has(_LINKS) else replace(item, experiment_ids=())


def _record(row: Row) -> DatasetRecord:
    outputs = _json(row["outputs"])
    return DatasetRecord(
        record_id=row["dataset_record_id"],
        inputs=_json(row["inputs"]),
        outputs=outputs.get(_WRAPPED) if isinstance(outputs, dict) else None,
        expectations=_json(row["expectations"]),
        tags={str(key): str(value) for key, value in (_json(row["tags"]) or {}).items()},
        source=_json(row["source"]),
        created_by=row["created_by"] or "",
        updated_by=row["last_updated_by"] or "",
        created_at=row["created_time"],
        updated_at=row["last_update_time"],
    )


def _row(record: DatasetRecord) -> Row:
    source: Mapping[str, Any] = record.source or {}
    kind, data = source.get("source_type"), source.get("source_data") or {}
    return {
        "dataset_record_id": record.record_id,
        "inputs": record.inputs,
        "outputs": None if record.outputs is None else {_WRAPPED: record.outputs},
        "expectations": record.expectations,
        "tags": dict(record.tags),
        "source": record.source,
        "source_id": data.get(TRACE_ID if kind == "TRACE" else "source_id"),
        "source_type": kind,
        "created_time": record.created_at or 0,
        "last_update_time": record.updated_at or 0,
        "created_by": record.created_by or None,
        "last_updated_by": record.updated_by or None,
        "input_hash": hashlib.sha256(json.dumps(record.inputs, sort_keys=True).encode()).hexdigest(),
    }


def _json(value: Any) -> Any:
    """JSON is text where the database has no type of its own for it (MariaDB)."""
    return json.loads(value) if isinstance(value, str | bytes) else value
