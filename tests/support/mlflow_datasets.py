"""Runs in the environment of MLflow 3: fills a workspace with evaluation datasets, changes them, and tells them by
MLflow's own client.

`fill URI`, `change URI`, `read URI`, `exactly URI`: the last line printed is JSON. What `read` tells has no ids and no
times, what `exactly` tells has them.
"""

import json
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.genai.datasets import create_dataset
from mlflow.tracking._tracking_service.utils import _get_store

RECORDS: list[dict[str, Any]] = [
    {
        "inputs": {"question": "Was heißt “grün”?", "n": 1.5, "deep": {"list": [1, None, True]}},
        "outputs": {"answer": "green"},
        "expectations": {"expected_response": "green", "facts": ["a colour"]},
        "tags": {"level": "1"},
        "source": {"source_type": "HUMAN", "source_data": {"user_name": "ada"}},
    },
    {"inputs": {"question": "a text"}, "outputs": "plain text", "expectations": {"k": 2}},
    {"inputs": {"question": "nothing more"}, "outputs": None},
    {
        "inputs": {"question": "of a trace"},
        "source": {"source_type": "TRACE", "source_data": {"trace_id": "tr-0123456789abcdef0123456789abcdef"}},
    },
]


def fill(uri: str) -> None:
    """Two datasets of one name, one without records and experiments, and one with more than a page of records."""
    client = MlflowClient(uri)
    homes = [client.create_experiment(name) for name in ("curated", "others")]
    golden = create_dataset(name="golden", experiment_id=homes, tags={"team": "a", "note": "ü"})
    golden.merge_records(RECORDS)
    create_dataset(name="golden", experiment_id=homes[1:]).merge_records([{"inputs": {"question": "another"}}])
    create_dataset(name="lonely", experiment_id=[])
    many = create_dataset(name="many", experiment_id=homes[0])
    many.merge_records([{"inputs": {"n": n}, "outputs": {"n": n}} for n in range(1100)])


def change(uri: str) -> None:
    """Tags, experiments and records of the first."""
    store, golden = _get_store(), _golden()
    store.set_dataset_tags(golden.dataset_id, {"team": "b"})
    store.remove_dataset_from_experiments(golden.dataset_id, golden.experiment_ids[1:])
    golden.merge_records([{"inputs": {"question": "new"}}, {**RECORDS[1], "expectations": {"k": 3}}])


def delete(uri: str) -> None:
    """The lonely one."""
    store = _get_store()
    (lonely,) = [dataset for dataset in store.search_datasets() if dataset.name == "lonely"]
    store.delete_dataset(lonely.dataset_id)


def _golden() -> Any:
    return next(d for d in _get_store().search_datasets() if d.name == "golden" and d.tags.get("team") == "a")


def told(uri: str, is_exact: bool) -> list[Any]:
    """All datasets, in an order that does not depend on ids."""
    names = {e.experiment_id: e.name for e in MlflowClient(uri).search_experiments(view_type=3)}
    found = []
    for dataset in _get_store().search_datasets():
        records, _ = _get_store()._load_dataset_records(dataset.dataset_id)
        each = [record.to_dict() for record in records]
        if not is_exact:
            kept = ("inputs", "outputs", "expectations", "tags", "source")
            each = [{key: record.get(key) for key in kept} for record in each]
        tags = {key: value for key, value in dataset.tags.items() if not key.startswith("runsync.")}
        one = {"name": dataset.name, "tags": tags, "experiments": sorted(names[id] for id in dataset.experiment_ids)}
        if is_exact:
            fields = ("dataset_id", "schema", "profile", "digest", "created_time", "last_update_time", "created_by")
            one |= {name: getattr(dataset, name) for name in (*fields, "last_updated_by")}
        found.append(one | {"records": sorted(each, key=lambda record: json.dumps(record, sort_keys=True))})
    return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))


verb, address = sys.argv[1:]
mlflow.set_tracking_uri(address)
if verb in ("read", "exactly"):
    print(json.dumps(told(address, verb == "exactly")))
else:
    {"fill": fill, "change": change, "delete": delete}[verb](address)
    print("{}")
