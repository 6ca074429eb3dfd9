"""Label schemas in the database."""

import json

from runsync.kinds.label_schemas import LabelSchema
from runsync.workspaces.sql.documents import Row, Rows, Shape


class LabelSchemas(Shape[LabelSchema]):
    """See `Shape`."""

    table = "label_schemas"
    id = "schema_id"
    children = ()

    def item(self, row: Row, children: Rows) -> LabelSchema:
        """See `Shape`."""
        return LabelSchema(
            schema_id=row["schema_id"],
            experiment_id=str(row["experiment_id"]),
            name=row["name"],
            type=row["type"],
            instruction=row["instruction"] or "",
            enable_comment=bool(row["enable_comment"]),
            input_type=row["input_type"],
            input=json.loads(row["input_config"]),
            is_default=bool(row.get("is_default")),
            created_by=row["created_by"] or "",
            created_at=row["created_time"],
            updated_at=row["last_update_time"],
        )

    def rows(self, item: LabelSchema) -> Rows:
        """See `Shape`."""
        row = {
            "schema_id": item.schema_id,
            "experiment_id": int(item.experiment_id),
            "name": item.name,
            "type": item.type,
            "instruction": item.instruction or None,
            "enable_comment": item.enable_comment,
            "input_type": item.input_type,
            "input_config": json.dumps(dict(item.input)),
            "is_default": item.is_default,
            "created_by": item.created_by or None,
            "created_time": item.created_at or 0,
            "last_update_time": item.updated_at or 0,
        }
        return {self.table: [row]}
