"""Whether everything of one run (or experiment) is in another: field by field, as values that can be shown."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runsync.model import numbers
from runsync.model.experiment import Experiment
from runsync.model.identity import LINK_TAGS, SOURCE, at_home, own_tags_removed
from runsync.model.run import DatasetInput, LatestMetric, Run

LONGEST_SHOWN = 120
PLAIN_FIELDS = ("name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")


@dataclass(frozen=True, slots=True)
class Difference:
    """`field` is "" when all of it is missing; values are shortened for showing, "" for what is not there."""

    kind: str
    id: str
    name: str
    field: str
    source: str
    target: str


def compare_experiments(source: Experiment, target: Experiment, name: str) -> Iterator[Difference]:
    """What the target lacks of an experiment that should be called `name` there."""
    found = _Found("experiment", source.experiment_id, source.name)
    yield from found.differ("name", name, target.name)
    yield from found.differ("lifecycle_stage", source.lifecycle_stage, target.lifecycle_stage)
    yield from found.lacks("tags", own_tags_removed(source.tags), target.tags)


def compare_runs(
    source: Run,
    target: Run,
    source_origin: Callable[[str], str],
    target_origin: Callable[[str], str],
    has_origin: Callable[[str], bool],
) -> Iterator[Difference]:
    """What the target lacks of a run, apart from history and artifacts; ids are compared as origin ids.

    `has_origin` tells whether the target holds a run of an origin id: a link to a run that it does not hold counts as
    kept when its old id stands in the `runsync.source.` tag.
    """
    one, other = at_home(source, source_origin), at_home(target, target_origin)
    found = _Found("run", source.run_id, source.name)
    for field in PLAIN_FIELDS:
        yield from found.differ(field, getattr(one, field), getattr(other, field))
    yield from found.lacks("params", one.params, other.params)
    yield from found.lacks("tags", _without_outside_links(one, target, has_origin), other.tags)
    yield from found.lacks("latest_metrics", _latest(one), _latest(other))
    yield from found.lacks("dataset_inputs", _datasets(one), _datasets(other))


def _without_outside_links(one: Run, target: Run, has_origin: Callable[[str], bool]) -> dict[str, str]:
    def is_outside(tag: str, value: str) -> bool:
        return tag in LINK_TAGS and tag not in target.tags and SOURCE + tag in target.tags and not has_origin(value)

    return {tag: value for tag, value in one.tags.items() if not is_outside(tag, value)}


class _Found:
    """Makes differences of one thing."""

    def __init__(self, kind: str, id: str, name: str) -> None:
        self._of = (kind, id, name)

    def differ(self, field: str, source: object, target: object) -> Iterator[Difference]:
        if source != target:
            yield Difference(*self._of, field, shown(source), shown(target))

    def lacks(self, field: str, source: Mapping[str, Any], target: Mapping[str, Any]) -> Iterator[Difference]:
        for key, value in source.items():
            yield from self.differ(f"{field}.{key}", value, target.get(key))


def shown(value: object) -> str:
    """A value for a table: "" for None, long ones cut with the number of characters told."""
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"


def _latest(run: Run) -> dict[str, str]:
    def told(metric: LatestMetric) -> str:
        return f"{numbers.stored(metric.value)!r} at step {metric.step}, time {metric.timestamp}"

    return {metric.key: told(metric) for metric in run.latest_metrics}


def _datasets(run: Run) -> dict[str, DatasetInput]:
    return {f"{d.name} {d.digest}": d for d in run.dataset_inputs}
