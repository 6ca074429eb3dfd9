"""What a transfer or a comparison means of every kind."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Self

from runsync.kinds import KINDS
from runsync.kinds.kind import E, Entity, Key, Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.trace_filter import OPTION as TRACE_FILTER
from runsync.model.experiment import Experiment
from runsync.model.fields import Order
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
    takes_models_of_runs: bool = True
    """Whether logged models are meant because a run that is meant made or used them."""
    kinds: Set[str] = frozenset()
    order: tuple[Order, ...] = ()
    """In which entities are listed, where the source can tell them so: see `Source.orders`."""
    linked_runs: Set[str] | None = None
    """The runs of which it must be told which traces are linked to them; None: all."""
    run_ids: set[str] = field(default_factory=set)
    _named: dict[str, set[str]] = field(default_factory=dict)
    _mentions: dict[str, dict[Key, _Mention]] = field(default_factory=dict)

    @classmethod
    def of(cls, selection: Selection, experiments: Sequence[Experiment], asked: Mapping[str, Any]) -> Self:
        """What a selection means."""
        narrow = (selection.is_narrow, selection.names_runs, frozenset(selection.models))
        scope = cls(experiments, asked, False, *narrow, not selection.only_these_models, frozenset(selection.kinds))
        for model_id in selection.logged_models:
            scope.name(LOGGED_MODELS.name, model_id)
        return scope

    def note(self, runs: Iterable[Run]) -> None:
        """Remembers what they name."""
        for run in runs:
            self.run_ids.add(run.run_id)
            for kind in KINDS:
                for id in kind.linked(run) if kind is not LOGGED_MODELS or self.takes_models_of_runs else ():
                    self.name(kind.name, id)
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
        """Whatever there is in these experiments of another side, where ids may be others; also what is looked for only
        where it is asked for by name: this side has some."""
        none: set[str] = set()
        wide = replace(self, experiments=experiments, is_narrow=False, is_of_runs=False, versions=frozenset())
        wide = wide.asking({name: value for name, value in self.asked.items() if name != TRACE_FILTER})
        return replace(wide, run_ids=none, kinds=frozenset(kind.name for kind in KINDS))

    def asking(self, asked: Mapping[str, Any]) -> "Scope":
        """The same, with other values of options."""
        return replace(self, asked=asked)
