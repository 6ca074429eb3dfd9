"""Assessments of traces: feedback, expectations, and the issues that a trace shows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runsync.kinds.kind import Resolve
from runsync.kinds.spans import to_json
from runsync.model.selection import RUNS

FEEDBACK, EXPECTATION, ISSUE = "feedback", "expectation", "issue"
TYPES = (FEEDBACK, EXPECTATION, ISSUE)
SOURCE_RUN = "mlflow.assessment.sourceRunId"
"""The entry of the metadata that names the run which made an assessment."""
ISSUES = "issues"
"""The name of the kind of what an assessment of type ISSUE names by its own name."""


@dataclass(frozen=True, slots=True)
class AssessmentError:
    """Why a judge came to no value."""

    code: str
    message: str = ""
    stack_trace: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What somebody says of a trace, or of one span of it (`span_id`, 16 hex digits, "" for none).

    `type` is one of TYPES; `value` any of JSON (of an issue its `issue_name`). Times are in epoch milliseconds.
    `overrides` is the id of the assessment that it takes the place of, "" for none; one that was overridden is not
    `valid`. `run_id` is "" for none.
    """

    assessment_id: str
    name: str
    type: str = FEEDBACK
    value: Any = None
    source_type: str = ""
    source_id: str = ""
    created_at: int = 0
    updated_at: int = 0
    span_id: str = ""
    rationale: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    error: AssessmentError | None = None
    overrides: str = ""
    valid: bool = True
    run_id: str = ""

    def to_document(self) -> dict[str, Any]:
        """Part of the document of a trace. The value stands there as JSON text: nothing of it is lost so."""
        return {**asdict(self), "metadata": dict(self.metadata), "value": to_json(self.value)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Assessment":
        """The reverse, of a valid document. Raises ValueError for a value that is no JSON."""
        error = document["error"]
        value = json.loads(document["value"])
        return cls(**{**document, "value": value, "error": None if error is None else AssessmentError(**error)})

    def rewritten(self, resolve: Resolve) -> "Assessment":
        """As it reads on the other side. What is not there stays named by its old id."""
        name = (resolve(ISSUES, self.name) or self.name) if self.type == ISSUE else self.name
        metadata = dict(self.metadata)
        if run_id := metadata.get(SOURCE_RUN):
            metadata[SOURCE_RUN] = resolve(RUNS, run_id) or run_id
        run_id = (resolve(RUNS, self.run_id) or self.run_id) if self.run_id else ""
        return replace(self, name=name, metadata=metadata, run_id=run_id)
