"""Whether a run is what a filter asks for.

As MLflow has it, a comparison with something that a run does not have is false, `!=` too; only IS NULL is true then.
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.fields import ARTIFACT, ATTRIBUTES, DATASET, Field, value_of
from runsync.model.filter import tree
from runsync.model.filter.like import like
from runsync.model.filter.parse import parse
from runsync.model.filter.tree import And, Comparison, Expression, Not, Or
from runsync.model.run import ArtifactFile, DatasetInput, Run
from runsync.model.selection import Selection

CONTEXT = "mlflow.data.context"
NAME = "mlflow.runName"
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run does not tell itself; `has_model_version` is None where that cannot be told."""

    experiments: Mapping[str, Experiment]
    knows_artifacts: bool = False
    has_model_version: Callable[[str], bool] | None = None

    @classmethod
    def of(cls, experiments: Iterable[Experiment], **told: Any) -> "Facts":
        """Of runs in these experiments."""
        return cls({e.experiment_id: e for e in experiments}, **told)


def chooser(selection: Selection, facts: Facts) -> Callable[[Run, Sequence[ArtifactFile]], bool]:
    """Tells of a run (and its files, where they are known) whether a selection means it, filter and all.

    Raises WrongUsage for what cannot be told here.
    """
    if not selection.filter:
        return lambda run, files: selection.takes(run)
    expression = parse(selection.filter)
    _check_facts(expression, facts)
    return lambda run, files: selection.takes(run) and matches(expression, run, facts, files)


def _check_facts(expression: Expression, facts: Facts) -> None:
    for field in tree.fields_of(expression):
        if field.kind == ARTIFACT and not facts.knows_artifacts:
            raise WrongUsage(f"the filter asks for {field}, which is known in bundles only")
        if field.key == "has_model_version" and field.kind == ATTRIBUTES and facts.has_model_version is None:
            raise WrongUsage(
                "the filter asks for has_model_version, which is known only where model versions are: in a workspace "
                "with a registry, or in a bundle that holds them"
            )


def matches(expression: Expression, run: Run, facts: Facts, files: Sequence[ArtifactFile] = ()) -> bool:
    """Whether the expression is true of a run."""
    match expression:
        case Comparison():
            return holds(expression, values_of_field(expression.field, run, facts, files))
        case Not():
            return not matches(expression.part, run, facts, files)
        case And():
            return all(matches(part, run, facts, files) for part in expression.parts)
        case Or():
            return any(matches(part, run, facts, files) for part in expression.parts)


def values_of_field(field: Field, run: Run, facts: Facts, files: Sequence[ArtifactFile]) -> Sequence[Any]:
    """All that a run has of a field: none, one, or several (datasets, files)."""
    if field.kind == DATASET:
        return [told for dataset in run.dataset_inputs if (told := _of_dataset(field.key, dataset))]
    if field.kind == ARTIFACT:
        return [file.path for file in files]
    if field.kind == ATTRIBUTES and field.key == "has_model_version":
        return [facts.has_model_version(run.run_id)] if facts.has_model_version else []
    if field.kind == ATTRIBUTES and field.key == "run_name":
        # MLflow's search looks at the tag, which may be taken away while the run keeps its name.
        return [run.tags[NAME]] if run.tags.get(NAME) else []
    value = value_of(field, run, facts.experiments.get(run.experiment_id))
    # An attribute that is empty was never set: databases have NULL there.
    return [] if value is None or (value == "" and field.kind == ATTRIBUTES) else [value]


def _of_dataset(key: str, dataset: DatasetInput) -> str:
    told = {"name": dataset.name, "digest": dataset.digest, "context": dataset.tags.get(CONTEXT, "")}
    return told[key]


def holds(comparison: Comparison, values: Sequence[Any]) -> bool:
    """Whether a comparison is true of what a thing has of its field: of none, one, or any of several values."""
    if comparison.operator == tree.IS_NULL:
        return not values
    if comparison.operator == tree.IS_NOT_NULL:
        return bool(values)
    return any(_is(comparison.operator, value, comparison.value) for value in values)


def _is(operator_: str, value: Any, wanted: Any) -> bool:
    """One value against what is wanted."""
    if operator_ == tree.EQUAL:
        return _same(value, wanted)
    if operator_ == tree.UNEQUAL:
        return not _same(value, wanted)
    if operator_ == tree.IN:
        return any(_same(value, one) for one in wanted)
    if operator_ == tree.NOT_IN:
        return not any(_same(value, one) for one in wanted)
    if operator_ in (tree.BETWEEN, tree.NOT_BETWEEN):
        return _is_between(value, wanted, operator_ == tree.BETWEEN)
    if operator_ in _ORDERINGS:
        comparable = _as_type_of(value, wanted)
        return comparable is not None and _ORDERINGS[operator_](comparable, wanted)
    return like(wanted, "ILIKE" in operator_)(str(value)) != operator_.startswith("NOT")


def _is_between(value: Any, bounds: tuple[Any, Any], inside: bool) -> bool:
    """Neither inside nor outside is what cannot be compared with the bounds."""
    low, high = bounds
    over, under = _as_type_of(value, low), _as_type_of(value, high)
    if over is None or under is None or over != over:
        return False
    return bool(low <= over and under <= high) == inside


def _same(value: Any, wanted: Any) -> bool:
    return bool(_as_type_of(value, wanted) == wanted)


def _as_type_of(value: Any, wanted: Any) -> Any:
    """A text as a number, where it is compared with one; None where it is none."""
    if isinstance(wanted, float) and isinstance(value, str):
        if "_" in value:  # Python's own way to write numbers
            return None
        try:
            number = float(value)
        except ValueError:
            return None
        return None if math.isnan(number) else number
    return value
