"""What a transfer or a comparison means of every kind."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Self

from runsync.kinds import KINDS
from runsync.kinds.kind import E, Entity, Key, Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection

_NAMED_BY_RUNS = [kind for kind in KINDS if kind.is_named_by_runs]


@dataclass(slots=True)
class _Mention:
    item: Entity
    runs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scope:
    """The experiments, what the runs that pass name, and `asked`: values of the options of kinds, by their names.

    With `everything` whatever a bundle holds is meant, also what only runs name that did not pass. `is_narrow`: only
    some experiments or runs are meant; `is_of_runs`: only some runs of them. `run_ids` are those that passed.
    """

    experiments: Sequence[Experiment] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    everything: bool = False
    is_narrow: bool = False
    is_of_runs: bool = False
    versions: Set[str] = frozenset()
    """Where only some models are meant: their versions, by name."""
    run_ids: set[str] = field(default_factory=set)
    _named: dict[str, set[str]] = field(default_factory=dict)
    _mentions: dict[str, dict[Key, _Mention]] = field(default_factory=dict)

    @classmethod
    def of(cls, selection: Selection, experiments: Sequence[Experiment], asked: Mapping[str, Any]) -> Self:
        """What a selection means."""
        versions = frozenset(selection.models)
        return cls(experiments, asked, False, selection.is_narrow, selection.names_runs, versions)

    def note(self, runs: Iterable[Run]) -> None:
        """Remembers what they name."""
        for run in runs:
            self.run_ids.add(run.run_id)
            for link in (*run.model_inputs, *run.model_outputs):
                self.name(LOGGED_MODELS.name, link.model_id)
            for kind in _NAMED_BY_RUNS:
                for item in kind.mentions(run):
                    named = self._mentions.setdefault(kind.name, {})
                    named.setdefault(kind.mentioned_as(item), _Mention(item)).runs.append(run.run_id)

    def name(self, kind: str, id: str) -> None:
        """One of a kind is meant, for what names it."""
        self._named.setdefault(kind, set()).add(id)

    def named(self, kind: str) -> Set[str]:
        """Those that are meant for what names them, by their ids."""
        return self._named.get(kind, set())

    def mentioned(self, kind: Kind[E]) -> list[E]:
        """What runs name of a kind, each once."""
        return [mention.item for mention in self._mentions.get(kind.name, {}).values()]  # type: ignore[misc]

    def runs_naming(self, kind: Kind[E], item: E) -> tuple[str, ...]:
        """The runs that name one, sorted."""
        mention = self._mentions.get(kind.name, {}).get(kind.mentioned_as(item))
        return tuple(sorted(mention.runs)) if mention else ()

    def on(self, experiments: Sequence[Experiment]) -> "Scope":
        """Whatever there is in these experiments of another side, where ids may be others."""
        return replace(self, experiments=experiments, is_narrow=False, is_of_runs=False, versions=frozenset())

    def asking(self, asked: Mapping[str, Any]) -> "Scope":
        """The same, with other values of options."""
        return replace(self, asked=asked)
