"""One run (or experiment) held against another, field by field, as values that can be shown.

`compare_…` tells what of a source a target lacks; `changed_…` tells what became of the old in the new.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runsync.model import numbers
from runsync.model.experiment import Experiment
from runsync.model.identity import LINK_TAGS, MODELS_ELSEWHERE, RUN_NAME, SOURCE, at_home, own_tags_removed
from runsync.model.run import ArtifactFile, DatasetInput, LatestMetric, ModelLink, Run
from runsync.model.wording import many

LONGEST_SHOWN = 120
IN_SOURCE = "source"
IN_TARGET = "target"
PLAIN_FIELDS = ("name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")


@dataclass(frozen=True, slots=True)
class Difference:
    """`field` is "" when all of it is missing; values are shortened for showing, "" for what is not there.

    `unread` is IN_SOURCE or IN_TARGET where that side could not be read, so that nothing was compared, else "".
    `accepted_by` is the name with which that may be so (see `left_behind`); "" where another try, or a repair, may
    bring it.
    """

    kind: str
    id: str
    name: str
    field: str
    source: str
    target: str
    unread: str = ""
    accepted_by: str = ""

    @classmethod
    def unreadable(
        cls, told: tuple[str, str, str, str], side: str, reason: object, accepted_by: str = ""
    ) -> "Difference":
        """What cannot be read on a side; `told` are kind, id, name and field."""
        why = f"cannot be read: {reason}"
        return cls(*told, *((why, "") if side == IN_SOURCE else ("", why)), side, accepted_by)


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
    model_there: Callable[[str], str] | None = None,
) -> Iterator[Difference]:
    """What the target lacks of a run, apart from history and artifacts; ids are compared as origin ids.

    `model_there` gives the target's id of a logged model; None where the target is not known to have any: then links to
    them are compared only where the ids of the runs are the same.

    `has_origin` tells whether the target holds a run of an origin id. A link to a run or logged model that it does not
    hold counts as kept when its old id stands in a `runsync.source.` tag. What only a target that keeps run ids can
    hold (the time of the deletion, no start time at all) is compared where the ids are the same.
    """
    one, other = at_home(source, source_origin), at_home(target, target_origin)
    if source.run_id != target.run_id:
        one, other = (replace(run, start_time=run.start_time or 0) for run in (one, other))
    found = _Found("run", source.run_id, source.name)
    for field in PLAIN_FIELDS:
        yield from found.differ(field, getattr(one, field), getattr(other, field))
    yield from found.lacks("params", one.params, other.params)
    tags = _without_outside_links(one, target, has_origin)
    if one.name and RUN_NAME in tags and other.tags.get(RUN_NAME) == one.name:
        tags[RUN_NAME] = one.name  # as servers set it, whatever it was
    yield from found.lacks("tags", tags, other.tags)
    yield from found.lacks("latest_metrics", _latest(one), _latest(other))
    yield from found.lacks("dataset_inputs", _datasets(one), _datasets(other))
    is_same = source.run_id == target.run_id
    if is_same and None not in (source.deleted_time, target.deleted_time):
        yield from found.differ("deleted_time", source.deleted_time, target.deleted_time)
    if is_same or model_there is not None:
        elsewhere = models_elsewhere(source, target, model_there)
        for field in ("model_inputs", "model_outputs"):
            links = {id: step for id, step in _models(getattr(source, field)).items() if id not in elsewhere}
            wanted = {model_there(id) if model_there else id: step for id, step in links.items()}
            yield from found.lacks(field, wanted, _models(getattr(target, field)))


def models_elsewhere(source: Run, target: Run, model_there: Callable[[str], str] | None) -> set[str]:
    """The logged models that a run links to and that the target does not hold, where it kept their old ids."""
    if model_there is None or MODELS_ELSEWHERE not in target.tags:
        return set()
    try:
        told = json.loads(target.tags[MODELS_ELSEWHERE])
        kept = {id for links in told.values() for id, _ in links}
    except (ValueError, TypeError, AttributeError):
        return set()
    links = {link.model_id for link in (*source.model_inputs, *source.model_outputs)}
    return {id for id in links if model_there(id) == id and id in kept}


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


def _models(links: Iterable[ModelLink]) -> dict[str, str]:
    return {link.model_id: f"at step {link.step}" for link in links}


def _datasets(run: Run) -> dict[str, DatasetInput]:
    return {f"{d.name} {d.digest}": d for d in run.dataset_inputs}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field with another value than before; values are shortened for showing, "" for what is not there."""

    field: str
    old: str
    new: str


def changed_experiment(old: Experiment, new: Experiment) -> Iterator[FieldChange]:
    """What became of an experiment."""
    for field in ("name", "lifecycle_stage"):
        yield from _became({field: getattr(old, field)}, {field: getattr(new, field)})
    yield from _became(own_tags_removed(old.tags), own_tags_removed(new.tags), "tags.")


def changed_run(old: Run, new: Run) -> Iterator[FieldChange]:
    """What became of a run, apart from history and artifacts. Links of copies in two workspaces are left out."""
    for field in PLAIN_FIELDS:
        yield from _became({field: getattr(old, field)}, {field: getattr(new, field)})
    left_out = LINK_TAGS if old.run_id != new.run_id else ()
    one, other = ({k: v for k, v in own_tags_removed(run.tags).items() if k not in left_out} for run in (old, new))
    if old.run_id != new.run_id and old.name and RUN_NAME in one and other.get(RUN_NAME) == new.name:
        one[RUN_NAME] = old.name
    yield from _became(old.params, new.params, "params.")
    yield from _became(one, other, "tags.")
    yield from _became(_latest(old), _latest(new), "latest_metrics.")
    yield from _became(_datasets(old), _datasets(new), "dataset_inputs.")


def changed_artifacts(old: Iterable[ArtifactFile], new: Iterable[ArtifactFile]) -> Iterator[FieldChange]:
    """What became of a run's files: by hash where both are known, else by size."""
    before, after = ({file.path: file for file in files} for files in (old, new))
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        by_hash = one is not None and other is not None and one.sha256 is not None and other.sha256 is not None
        if one is None or other is None or one.size != other.size or (by_hash and one.sha256 != other.sha256):
            yield FieldChange(f"artifacts.{path}", _file(one), _file(other))


def _file(file: ArtifactFile | None) -> str:
    if file is None:
        return ""
    return many(file.size, "byte") + (f", sha256 {file.sha256[:12]}…" if file.sha256 else "")


def _became(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[FieldChange]:
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            yield FieldChange(prefix + key, shown(old.get(key)), shown(new.get(key)))
