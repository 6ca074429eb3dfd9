"""What MLflow's own servers refuse of a run or an experiment, as far as that is the same in all of them: whatever their
stores, 2.22 and 3.17 check it alike (`mlflow/utils/validation.py`)."""

import posixpath
import re
from collections.abc import Iterator, Mapping

from runsync.model.run import DatasetInput, Problem, Run

LONGEST_KEY = 250
LONGEST_NAME = 500
LONGEST_OF_DATASETS = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575}
LONGEST_EXPERIMENT_TAG = 20_000
"""MLflow 2 takes 5000."""
_KEY = re.compile(r"[/\w.\- :]*")


def misfits(run: Run, params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Problem]:
    """What of a run is refused, of params and tags those that would be sent."""
    for kind, keys in ("param", params), ("tag", tags):
        yield from (Problem(kind, key, why) for key in keys if (why := fault(key)))
    for metric in run.latest_metrics:
        if why := fault(metric.key) or fault_of_time(metric.timestamp):
            yield Problem("metric", metric.key, why)
    for dataset in run.dataset_inputs:
        if why := _fault_of_dataset(dataset):
            yield Problem("input", dataset.name, why)


def fault(key: str) -> str:
    """What is wrong with the key of a param, tag or metric; "" for nothing."""
    if len(key) > LONGEST_KEY:
        return f"its name has {len(key)} characters, and the target takes {LONGEST_KEY}"
    if not _KEY.fullmatch(key):
        return "names may only have letters, digits, blanks and “_-.:/”"
    normal = posixpath.normpath(key)
    is_path = normal != key or normal == "." or normal.startswith(("..", "/"))
    return "as a path its name would be another one" if is_path else ""


def fault_of_time(timestamp: int) -> str:
    """What is wrong with that of a metric point."""
    return "its timestamp is negative" if timestamp < 0 else ""


def fault_of_name(name: str) -> str:
    """What is wrong with that of an experiment."""
    return _too_long("its name", name, LONGEST_NAME)


def fault_of_tag(key: str, value: str) -> str:
    """What is wrong with one of an experiment."""
    return fault(key) or _too_long("it", value, LONGEST_EXPERIMENT_TAG)


def _fault_of_dataset(dataset: DatasetInput) -> str:
    texts = {"name": dataset.name, "digest": dataset.digest, "source": dataset.source, "schema": dataset.schema}
    told = (_too_long(f"its {field}", texts[field], most) for field, most in LONGEST_OF_DATASETS.items())
    return next(filter(None, told), "")


def _too_long(what: str, text: str, most: int) -> str:
    return f"{what} has {len(text)} characters, and the target takes {most}" if len(text) > most else ""
