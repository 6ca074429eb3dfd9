"""Label schemas of experiments: the questions that people answer about traces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runsync.kinds.document import Document, DocumentKind
from runsync.kinds.kind import Key


@dataclass(frozen=True, slots=True)
class LabelSchema(Document):
    """`input` says how it is answered, by `input_type` (pass_fail, categorical, numeric or text), in MLflow's words.
    `is_default`: MLflow makes that one by itself. Times are in epoch milliseconds."""

    schema_id: str
    experiment_id: str
    name: str
    type: str = "feedback"
    instruction: str = ""
    enable_comment: bool = False
    input_type: str = "text"
    input: Mapping[str, Any] = field(default_factory=dict)
    is_default: bool = False
    created_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    origin: str = ""

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.schema_id,)


class _LabelSchemas(DocumentKind[LabelSchema]):
    name = "label-schemas"
    noun = "label schema"
    entity = LabelSchema
    goes_with_experiments = True
    id_field = "schema_id"
    set_by_servers = ("created_by", "created_at", "updated_at")

    def place(self, item: LabelSchema) -> Key:
        """An experiment has each name once."""
        return (item.experiment_id, item.name)


LABEL_SCHEMAS = _LabelSchemas()
