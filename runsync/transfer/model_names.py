"""Other names for registered models in a target: `--rename churn=prod.ml.churn`.

The source of each kind that names models gives them under the new names, so that no target needs to know.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Generic

from runsync.contract.entities import Completed, EntitySource
from runsync.contract.source import Source
from runsync.errors import Ambiguous, NothingSelected, WrongUsage
from runsync.kinds.kind import E, Kind
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.named import BY_NAME, exactly, suggestion
from runsync.model.naming import BY_MODEL, Naming
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.model.selection import Selection
from runsync.transfer.registry import Registry


def with_models(source: Source, selection: Selection, naming: Naming, is_within: bool = False) -> Naming:
    """The naming with the renames that mean registered models among its `models`; without any nothing is asked.
    `is_within`: the target is the same workspace, so that the source has the copies too.

    Raises NothingSelected for a name that nothing has, Ambiguous for that of an experiment and a model, WrongUsage
    where two models would be called the same.
    """
    if not naming.rename:
        return naming
    experiments, models = source.experiments(selection), Registry(source).models
    of_models = {old: new for old, new in naming.rename.items() if _is_of_model(old, experiments, models)}
    renamed = {old.removeprefix(BY_MODEL): new for old, new in of_models.items()}
    names = Counter(renamed.get(name, name) for name in models if name in renamed or not is_within)
    for old, new in renamed.items():
        if names[new] > 1:
            raise WrongUsage(f"--rename {old}={new}: another registered model is called “{new}” already")
    others = {old: new for old, new in naming.rename.items() if old not in of_models}
    return replace(naming, rename=others, models=renamed)


def _is_of_model(old: str, experiments: Sequence[Experiment], models: Mapping[str, object]) -> bool:
    is_experiment = not old.startswith(BY_MODEL) and bool(exactly(experiments, old))
    is_model = old.removeprefix(BY_MODEL) in models
    if is_experiment and is_model:
        raise Ambiguous(
            f"“{old}” is an experiment and a registered model: say which",
            [f"--rename {BY_NAME}{old}=NEW", f"--rename {BY_MODEL}{old}=NEW"],
        )
    if not is_experiment and not is_model:
        raise NothingSelected(
            f"--rename names “{old}”, which is neither among the experiments to carry nor a registered model"
            f"{suggestion(old, experiments)}"
        )
    return is_model


@dataclass(frozen=True, slots=True)
class Renames:
    """Other names for registered models, by those in the source. With `is_all` no others are meant."""

    names: Mapping[str, str]
    is_all: bool = False

    def of(self, kind: Kind[E], side: EntitySource[E] | None) -> EntitySource[E] | None:
        """The same side with these names."""
        is_other = bool(self.names) or self.is_all
        return Renamed(kind, side, self.names, self.is_all) if side is not None and is_other else side


class Renamed(Generic[E]):
    """See `EntitySource`. `names` are the new ones by the old; with `is_all` whatever keeps its name is left out."""

    def __init__(self, kind: Kind[E], side: EntitySource[E], names: Mapping[str, str], is_all: bool = False) -> None:
        self.is_exact = side.is_exact
        self._kind = kind
        self._side = side
        self._names = names
        self._is_all = is_all
        self._old = {new: old for old, new in names.items()}

    def list(self, scope: Scope) -> Iterator[E]:
        """See `EntitySource`; the scope names what the source has."""
        for item in self._side.list(scope):
            given = self._kind.renamed(item, self._names)
            if given.key != item.key or not self._is_all:
                yield given

    def complete(self, item: E) -> E:
        """See `EntitySource`."""
        return self._kind.renamed(self._side.complete(self._original(item)), self._names)

    def complete_many(self, items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
        """See `EntitySource`."""
        for done in self._side.complete_many([self._original(item) for item in items], pool):
            yield replace(done, item=self._kind.renamed(done.item, self._names))

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """See `EntitySource`."""
        found, chunks = self._side.read(self._original(item))
        return self._kind.renamed(found, self._names), chunks

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        return self._side.read_file(self._original(item), file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        return self._side.left_behind(scope)

    def _original(self, item: E) -> E:
        return self._kind.renamed(item, self._old)
