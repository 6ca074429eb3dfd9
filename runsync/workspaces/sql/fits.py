"""Whether a run fits into the columns of a database, told by name before anything is written."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from runsync.model.identity import RUN_NAME
from runsync.model.run import DatasetInput, Run
from runsync.workspaces.direct.misfits import NAME, USER, Misfit
from runsync.workspaces.sql.address import POSTGRESQL, SQLITE
from runsync.workspaces.sql.schema import Schema

_OF_DATASETS = (
    ("name", "its name"),
    ("digest", "its digest"),
    ("dataset_source_type", "its source type"),
    ("dataset_source", "its source"),
    ("dataset_schema", "its schema"),
    ("dataset_profile", "its profile"),
)


class Fits:
    """Bounds are those of the columns. SQLite keeps none of them, and MLflow reads what is longer there: so longer
    texts are no fault in it."""

    def __init__(self, kind: str, schema: Schema) -> None:
        self._is_postgres = kind == POSTGRESQL
        self._takes_all = kind == SQLITE
        self._schema = schema

    def fault(self, run: Run) -> str:
        """Why a run cannot be there at all; "" when it can."""
        for what, column, text in (("id", "run_uuid", run.run_id), ("artifact URI", "artifact_uri", run.artifact_uri)):
            if why := self._why("runs", column, text, f"its {what}"):
                return why
        return ""

    def misfits(self, run: Run) -> list[Misfit]:
        """Its pieces that do not fit."""
        return [] if self._takes_all else list(self._misfits(run))

    def keys(self, keys: Iterable[str]) -> list[Misfit]:
        """The metrics among these that do not fit."""
        found = ((key, self._why("metrics", "key", key, "its name")) for key in keys)
        return [Misfit("metric", key, why) for key, why in found if why]

    def _misfits(self, run: Run) -> Iterator[Misfit]:
        name = self._why("runs", "name", run.name)
        for field, why in ((NAME, name), (USER, self._why("runs", "user_id", run.user_id))):
            if why:
                yield Misfit("field", field, why)
        for kind, table, texts in (("param", "params", run.params), ("tag", "tags", run.tags)):
            for key, value in texts.items():
                why = self._why(table, "key", key, "its name") or self._why(table, "value", value)
                if why and not (name and kind == "tag" and key == RUN_NAME):
                    yield Misfit(kind, key, why)
        yield from self.keys(metric.key for metric in run.latest_metrics)
        for dataset in run.dataset_inputs:
            if why := self._of_dataset(dataset):
                yield Misfit("input", dataset.name, why, dataset)
        for kind, links in (("input", run.model_inputs), ("output", run.model_outputs)):
            for link in links:
                if why := self._why("inputs", "destination_id", link.model_id, "its id"):
                    yield Misfit(kind, link.model_id, why, link)

    def _of_dataset(self, dataset: DatasetInput) -> str:
        fields = (dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile)
        for (column, what), text in zip(_OF_DATASETS, fields, strict=True):
            if why := self._why("datasets", column, text, what):
                return why
        for key, value in dataset.tags.items():
            if why := self._why("input_tags", "name", key, "the name of a tag"):
                return why
            if why := self._why("input_tags", "value", value, "a tag"):
                return why
        return ""

    def _why(self, table: str, column: str, text: str, what: str = "it") -> str:
        if self._is_postgres and "\0" in text:
            return f"{what} holds a NUL character, which PostgreSQL does not take"
        most = self._bounds.get((table, column))
        if most is None or len(text) <= most:
            return ""
        return f"{what} has {len(text)} characters, and this database takes {most}"

    @cached_property
    def _bounds(self) -> dict[tuple[str, str], int]:
        """Characters, by table and column; none in SQLite."""
        if self._takes_all:
            return {}
        return {
            (name, column.name): most
            for name, table in self._schema.tables.items()
            for column in table.columns
            if (most := getattr(column.type, "length", None)) is not None
        }
