"""Whether a run or an experiment fits into the columns of a database, told by name before anything is written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from runsync.model.identity import RUN_NAME
from runsync.model.run import DatasetInput, Run
from runsync.workspaces.direct.misfits import EXPERIMENT_NAME, INPUT_TAG, NAME, USER, Misfit, Refusal, Unfit
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.room import rooms
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
    """See `sql.room`."""

    def __init__(self, database: Database, schema: Schema) -> None:
        self._any, self._rooms = rooms(database, schema)

    def refusal(self, run: Run) -> Refusal | None:
        """Why a run cannot be there, or some of its pieces."""
        if fault := self.fault(run):
            return Refusal(fault)
        return Refusal(Unfit(misfits)) if (misfits := self.misfits(run)) else None

    def fault(self, run: Run) -> str:
        """Why a run cannot be there at all; "" when it can."""
        for what, column, text in (("id", "run_uuid", run.run_id), ("artifact URI", "artifact_uri", run.artifact_uri)):
            if why := self._why("runs", column, text, f"its {what}"):
                return why
        return ""

    def misfits(self, run: Run) -> list[Misfit]:
        """Its pieces that do not fit."""
        return list(self._misfits(run))

    def keys(self, keys: Iterable[str]) -> list[Misfit]:
        """The metrics among these that do not fit."""
        return list(self._texts("metric", "metrics", dict.fromkeys(keys, "")))

    def of_experiment(self, name: str | None, tags: Mapping[str, str]) -> list[Misfit]:
        """Of an experiment its name and those of its tags that do not fit."""
        why = self._why("experiments", "name", name or "", "its name")
        misfits = [Misfit("field", EXPERIMENT_NAME, why)] if why else []
        return [*misfits, *self._texts("tag", "experiment_tags", tags)]

    def _misfits(self, run: Run) -> Iterator[Misfit]:
        name = self._why("runs", "name", run.name)
        for field, why in ((NAME, name), (USER, self._why("runs", "user_id", run.user_id))):
            if why:
                yield Misfit("field", field, why)
        yield from self._texts("param", "params", run.params)
        for misfit in self._texts("tag", "tags", run.tags):
            if not (name and misfit.name == RUN_NAME):
                yield misfit
        yield from self.keys(metric.key for metric in run.latest_metrics)
        for dataset in run.dataset_inputs:
            yield from self._of_dataset(dataset)
        for kind, links in (("input", run.model_inputs), ("output", run.model_outputs)):
            for link in links:
                if why := self._why("inputs", "destination_id", link.model_id, "its id"):
                    yield Misfit(kind, link.model_id, why, link)

    def _of_dataset(self, dataset: DatasetInput) -> Iterator[Misfit]:
        fields = (dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile)
        for (column, what), text in zip(_OF_DATASETS, fields, strict=True):
            if why := self._why("datasets", column, text, what):
                yield Misfit("input", dataset.name, why, dataset)
                return
        for misfit in self._texts(INPUT_TAG, "input_tags", dataset.tags, "name"):
            yield replace(misfit, why=f"{misfit.why} (of dataset “{dataset.name}”)", piece=dataset)

    def _texts(self, kind: str, table: str, texts: Mapping[str, str], key_column: str = "key") -> Iterator[Misfit]:
        for key, value in texts.items():
            if why := self._why(table, key_column, key, "its name") or self._why(table, "value", value):
                yield Misfit(kind, key, why)

    def _why(self, table: str, column: str, text: str, what: str = "it") -> str:
        why = self._rooms.get((table, column), self._any).why_not(text)
        return f"{what} {why}" if why else ""
