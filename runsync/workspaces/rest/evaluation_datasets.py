"""Evaluation datasets of a server, with their records."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from runsync.errors import RequestRefused
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS, DatasetRecord, EvaluationDataset
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, OddAnswer, identifier, listed, part, text, without_nulls
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments
from runsync.workspaces.rest.search import chunks

PAGE = 1000
TOGETHER = 200
"""Records that are sent at a time."""
BROKEN = 500
"""What MLflow answers where it cannot tell what the fields of its records have in common."""


@wire.strict
def evaluation_dataset(document: Json) -> EvaluationDataset:
    """One of datasets/search, without its experiments and records. Raises OddAnswer."""
    return EvaluationDataset(
        dataset_id=identifier(document, "dataset_id"),
        name=text(document, "name"),
        tags=_tags(text(document, "tags", "")),
        schema=text(document, "schema", ""),
        profile=text(document, "profile", ""),
        digest=text(document, "digest", ""),
        created_by=text(document, "created_by", ""),
        updated_by=text(document, "last_updated_by", ""),
        created_at=wire.moment(document, "created_time"),
        updated_at=wire.moment(document, "last_update_time"),
    )


@wire.strict
def dataset_record(document: Json) -> DatasetRecord:
    """One of a dataset's records. Raises OddAnswer."""
    source = document.get("source")
    return DatasetRecord(
        record_id=identifier(document, "dataset_record_id"),
        inputs=document["inputs"],
        outputs=document.get("outputs"),
        expectations=document.get("expectations"),
        tags={str(key): str(value) for key, value in dict(document.get("tags") or {}).items()},
        source=dict(source) if source else None,
        created_by=text(document, "created_by", ""),
        updated_by=text(document, "last_updated_by", ""),
        created_at=wire.moment(document, "created_time"),
        updated_at=wire.moment(document, "last_update_time"),
    )


class ServerEvaluationDatasets(ServerDocuments[EvaluationDataset]):
    """See `DocumentStore`. Names are not unique: only a tag tells that a dataset is a copy."""

    def __init__(self, client: Client) -> None:
        super().__init__(EVALUATION_DATASETS, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[EvaluationDataset]:
        """See `DocumentStore`. The search does not tell of experiments: that takes a request for each dataset."""
        return self.told(self._with_homes(item) for item in self._all())

    def complete(self, item: EvaluationDataset) -> EvaluationDataset:
        """See `DocumentStore`. With its records."""
        return item.with_records(self._records(item.dataset_id))

    def find(self, wanted: Sequence[EvaluationDataset]) -> Iterable[EvaluationDataset]:
        """See `DocumentStore`."""
        born, names = {item.born_as for item in wanted}, {item.name for item in wanted}
        return [
            self.complete(self._with_homes(item)) for item in self._all() if item.born_as in born or item.name in names
        ]

    def create(self, wanted: EvaluationDataset) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        homes = list(wanted.experiment_ids)
        body = {"name": wanted.name, "experiment_ids": homes, "tags": json.dumps(dict(wanted.tags))}
        made = self.send("POST", "datasets/create", body, once=True)
        there = evaluation_dataset(part(made, "dataset"))
        return there.dataset_id, self._fill(wanted, there)

    def change(self, wanted: EvaluationDataset, there: EvaluationDataset) -> Sequence[Problem]:
        """See `DocumentStore`. A name is fixed."""
        problems = []
        if wanted.name != there.name:
            problems.append(Problem("field of evaluation dataset", "name", f"a server keeps it: “{there.name}”"))
        tags = {key: value for key, value in wanted.tags.items() if there.tags.get(key) != value}
        if tags:
            self.send("PATCH", f"datasets/{_quoted(there)}/tags", {"tags": json.dumps(tags)})
        if homes := sorted(set(wanted.experiment_ids) - set(there.experiment_ids)):
            body = {"dataset_id": there.dataset_id, "experiment_ids": homes}
            self.send("POST", f"datasets/{_quoted(there)}/add-experiments", body)
        return [*problems, *self._fill(wanted, there)]

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        self.send("DELETE", f"datasets/{quote(id, safe='')}", {})

    def _all(self) -> Iterator[EvaluationDataset]:
        def ask(page: Json) -> dict[str, Any]:
            return self.post("datasets/search", {"max_results": PAGE, **page})

        return self.each("datasets", ask, evaluation_dataset)

    def _with_homes(self, item: EvaluationDataset) -> EvaluationDataset:
        told = without_nulls(self.get(f"datasets/{_quoted(item)}/experiment-ids"), "experiment_ids")
        return replace(item, experiment_ids=tuple(sorted(map(str, told.get("experiment_ids") or ()))))

    def _records(self, dataset_id: str) -> Iterator[DatasetRecord]:
        path = f"datasets/{quote(dataset_id, safe='')}/records"

        def ask(page: Json) -> dict[str, Any]:
            answer = self.get(path, max_results=PAGE, **page)
            return {**answer, "records": _parsed(text(answer, "records", "[]"))}

        return self.each("records", ask, dataset_record)

    def _fill(self, wanted: EvaluationDataset, there: EvaluationDataset) -> list[Problem]:
        """Sends the records that are missing or other. What is sent is merged into a record of the same inputs: one
        that has more tags or expectations, or another source, is deleted first."""
        has = there.by_subject
        todo = [one for one in wanted.records or () if (o := has.get(one.subject)) is None or o.told != one.told]
        todo.sort(key=lambda one: not isinstance(one.outputs, dict))  # MLflow 3.17 fails on an object after a text
        problems: list[Problem] = []
        for some in chunks(todo, TOGETHER):
            gone = [old.record_id for one in some if (old := has.get(one.subject)) and not _is_merged(one, old)]
            if gone:
                self.send("DELETE", f"datasets/{_quoted(there)}/records", {"dataset_record_ids": gone})
            problems += self._send_records(there, some)
        return problems

    def _send_records(self, there: EvaluationDataset, records: Sequence[DatasetRecord]) -> list[Problem]:
        """Divides what a server refuses, until what it refuses is one."""
        body = {"records": json.dumps([_wire(record) for record in records])}
        try:
            self.send("POST", f"datasets/{_quoted(there)}/records", body)
        except RequestRefused as error:
            if error.may_pass and error.status != BROKEN:
                raise
            if len(records) == 1:
                return [Problem("record of evaluation dataset", records[0].record_id, str(error))]
            half = len(records) // 2
            return [*self._send_records(there, records[:half]), *self._send_records(there, records[half:])]
        return []


def _wire(record: DatasetRecord) -> dict[str, Any]:
    return {
        "inputs": record.inputs,
        "outputs": record.outputs,
        "expectations": record.expectations,
        "tags": dict(record.tags),
        "source": record.source,
    }


def _is_merged(record: DatasetRecord, there: DatasetRecord) -> bool:
    """Whether sending a record makes one that is there the same."""
    had, has = (set(one.expectations or {}) | {f"tag {key}" for key in one.tags} for one in (there, record))
    return had <= has and there.source == record.source


def _quoted(item: EvaluationDataset) -> str:
    return quote(item.dataset_id, safe="")


def _tags(told: str) -> Mapping[str, str]:
    found = _json("tags", told, dict) if told else {}
    return {str(key): "" if value is None else str(value) for key, value in found.items()}


def _parsed(told: str) -> list[dict[str, Any]]:
    return listed({"records": _json("records", told, list)}, "records")


def _json(name: str, told: str, kind: type[Any]) -> Any:
    """A list or an object that stands in an answer as text. Raises OddAnswer."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        raise OddAnswer(name, "is no JSON") from None
    if not isinstance(found, kind):
        raise OddAnswer(name, f"is no JSON {'object' if kind is dict else 'list'}")
    return found
