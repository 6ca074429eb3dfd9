"""Whether a run fits into the columns of a database, told by name before anything is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runsync.model.run import Run
from runsync.workspaces.sql.address import POSTGRESQL, SQLITE
from runsync.workspaces.sql.schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import Table


@dataclass(frozen=True, slots=True)
class Fits:
    """Bounds are those of the columns. SQLite keeps none of them, and MLflow reads what is longer there: so longer
    texts are no fault in it."""

    kind: str
    schema: Schema

    def fault(self, run: Run) -> str:
        """What of a run does not fit; "" when all does."""
        return next((said for said in self._faults(run) if said), "")

    def _faults(self, run: Run) -> Iterator[str]:
        for what, table, column, text in _texts(run):
            yield self._fault(what, self.schema.table(table), column, text)

    def _fault(self, what: str, table: "Table | None", column: str, text: str) -> str:
        if self.kind == POSTGRESQL and "\0" in text:
            return f"{what} holds a NUL character, which PostgreSQL does not take"
        if self.kind == SQLITE or table is None:
            return ""
        most = getattr(table.c[column].type, "length", None)
        if most is None or len(text) <= most:
            return ""
        return f"{what} has {len(text)} characters, and this database takes {most}"


def _texts(run: Run) -> Iterator[tuple[str, str, str, str]]:
    """What it is, table, column, text."""
    yield "its id", "runs", "run_uuid", run.run_id
    yield "its name", "runs", "name", run.name
    yield "its user", "runs", "user_id", run.user_id
    yield "its artifact URI", "runs", "artifact_uri", run.artifact_uri
    for table, what, texts in (("params", "param", run.params), ("tags", "tag", run.tags)):
        for key, value in texts.items():
            yield f"the key of {what} {_short(key)}", table, "key", key
            yield f"{what} {_short(key)}", table, "value", value
    for metric in run.latest_metrics:
        yield f"the key of metric {_short(metric.key)}", "metrics", "key", metric.key
    for dataset in run.dataset_inputs:
        said = f"dataset {_short(dataset.name)}"
        yield f"the name of {said}", "datasets", "name", dataset.name
        yield f"the digest of {said}", "datasets", "digest", dataset.digest
        yield f"the source type of {said}", "datasets", "dataset_source_type", dataset.source_type
        yield f"the source of {said}", "datasets", "dataset_source", dataset.source
        yield f"the schema of {said}", "datasets", "dataset_schema", dataset.schema
        yield f"the profile of {said}", "datasets", "dataset_profile", dataset.profile
        for key, value in dataset.tags.items():
            yield f"the key of tag {_short(key)} of {said}", "input_tags", "name", key
            yield f"tag {_short(key)} of {said}", "input_tags", "value", value
    for link in (*run.model_inputs, *run.model_outputs):
        yield f"the id of logged model {_short(link.model_id)}", "inputs", "destination_id", link.model_id


def _short(text: str) -> str:
    return f"“{text if len(text) <= 60 else text[:59] + '…'}”"
