"""Gates: what a model must be, by itself or beside another, to be promoted. What is not there closes them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from runsync.errors import WrongUsage
from runsync.model import numbers
from runsync.model.experiment import Experiment
from runsync.model.fields import METRICS, Field, parse_field, value_of
from runsync.model.filter import tree
from runsync.model.filter.evaluate import Facts, matches, values_of_field
from runsync.model.filter.parse import parse
from runsync.model.run import ArtifactFile, Run

UP, DOWN = "up", "down"
_RELATIVE = re.compile(
    r"(?P<alias>[\w-]+)(?:\s+on\s+(?P<on>.+?\s+(?:up|down)))?(?:\s+by\s+(?P<by>[\d.]+(?:[eE]-?\d+)?\s*%?))?", re.ASCII
)
_HOW = "write ALIAS, or “ALIAS on metrics.loss down by 0.5%”"


@dataclass(frozen=True, slots=True)
class Gate:
    """`expression` is as it was asked for. `ours` are the values that were looked at, by field, and `theirs` those of
    the model that was compared with; None for what is not there. `told` says why."""

    expression: str
    passed: bool
    told: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """A gate of reports, plans and records."""
        return {
            "expression": self.expression,
            "passed": self.passed,
            "told": self.told,
            "ours": {key: _plain(value) for key, value in self.ours.items()},
            "theirs": {key: _plain(value) for key, value in self.theirs.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The reverse; values stay as they stand in JSON."""
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What gates look at: all that is known of a model as one run, its experiment, and its files."""

    run: Run
    experiments: Sequence[Experiment] = ()
    files: Sequence[ArtifactFile] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A gate beside the model that an alias of the target names. `margin` is how much better it must be (or, with
    `may_be_worse`, how much worse it may be), as a share of the other's value with `is_share`."""

    alias: str
    metric: Field
    direction: str
    margin: float = 0.0
    is_share: bool = False
    may_be_worse: bool = False

    @property
    def expression(self) -> str:
        """As one text."""
        what = "not worse than" if self.may_be_worse else "better than"
        by = f" by {self.margin * 100:g}%" if self.is_share else f" by {self.margin:g}" if self.margin else ""
        return f"{what} {self.alias} on {self.metric} {self.direction}{by}"

    def look(self, ours: Run, theirs: Run | None, name: str = "") -> Gate:
        """Compares; `name` is that of the other. Without another it passes."""
        mine = value_of(self.metric, ours)
        told_mine = {str(self.metric): mine}
        if not _is_number(mine):
            return Gate(self.expression, False, f"it has {_lack(self.metric, mine)}", told_mine)
        if theirs is None:
            return Gate(self.expression, True, f"there is no {self.alias} yet", told_mine)
        other = value_of(self.metric, theirs)
        told = (told_mine, {str(self.metric): other})
        if not _is_number(other):
            return Gate(self.expression, False, f"{name} has {_lack(self.metric, other)}", *told)
        passed = self._holds(float(mine or 0), float(other or 0))
        return Gate(self.expression, passed, f"{self.metric} {_shown(mine)}, {name} has {_shown(other)}", *told)

    def _holds(self, mine: float, other: float) -> bool:
        margin = abs(other) * self.margin if self.is_share else self.margin
        gain = mine - other if self.direction == UP else other - mine
        if self.may_be_worse:
            return gain >= -margin
        return gain >= margin if margin else gain > 0


def parse_comparison(text: str, on: str, by: str, may_be_worse: bool) -> Comparison:
    """Of `champion`, or `champion on metrics.loss down by 0.5%`; `on` and `by` are for what it does not say. Raises
    WrongUsage."""
    found = _RELATIVE.fullmatch(text.strip())
    option = "--not-worse-than" if may_be_worse else "--better-than"
    if found is None:
        raise WrongUsage(f"{option} “{text}” cannot be read: {_HOW}")
    metric, _, direction = (found["on"] or on).strip().rpartition(" ")
    if direction not in (UP, DOWN) or not metric:
        raise WrongUsage(f"{option}: say which metric, and which way is better, as in --on “metrics.loss down”")
    parsed = parse_field(metric)
    if parsed.kind != METRICS:
        raise WrongUsage(f"{option} compares metrics, and {parsed} is none")
    margin = (found["by"] or by).strip()
    number = margin.rstrip("%").strip()
    try:
        value = float(number) if number else 0.0
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise WrongUsage(f"--by “{margin}” is no number and no percentage, such as 0.01 or 0.5%")
    is_share = margin.endswith("%")
    return Comparison(found["alias"], parsed, direction, value / 100 if is_share else value, is_share, may_be_worse)


def require(text: str, evidence: Evidence) -> Gate:
    """Whether an expression in the language of filters is true of a model. Raises WrongUsage for what is none."""
    expression = parse(text)
    facts = Facts.of(evidence.experiments, knows_artifacts=True, has_model_version=lambda _: True)
    told: dict[str, Any] = {}
    lacks = []
    for comparison in tree.comparisons_of(expression):
        asked = comparison.field
        values = values_of_field(asked, evidence.run, facts, evidence.files)
        told[str(asked)] = values[0] if len(values) == 1 else list(values) or None
        if comparison.operator not in (tree.IS_NULL, tree.IS_NOT_NULL) and not _are_sound(values):
            lacks.append(_lack(asked, values[0] if values else None))
    if lacks:
        return Gate(text, False, f"it has {' and '.join(dict.fromkeys(lacks))}", told)
    passed = matches(expression, evidence.run, facts, evidence.files)
    return Gate(text, passed, ", ".join(f"{key} is {_shown(value)}" for key, value in told.items()), told)


def _are_sound(values: Iterable[Any]) -> bool:
    found = list(values)
    return bool(found) and not any(isinstance(value, float) and math.isnan(value) for value in found)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _lack(asked: Field, value: object) -> str:
    return f"no {asked}" if value is None else f"NaN for {asked}"


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else f"“{value}”" if isinstance(value, str) else str(value)


def _plain(value: object) -> Any:
    return numbers.to_json(value) if isinstance(value, float) else value
