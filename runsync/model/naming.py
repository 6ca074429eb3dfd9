"""What experiments and registered models are called in a target."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runsync.errors import NothingSelected
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.named import ambiguous, exactly, plain_path, suggestion

BY_MODEL = "model:"
"""Before a name that is also that of an experiment."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How experiments are called in the target: `rename` maps single names or ids, `prefix` goes before all others.
    `models` maps names of registered models (see `transfer.model_names`).

    A prefix that begins with a slash is a folder, as Databricks has them: a slash stands between it and the name. There
    `/Workspace/Users/me` and `/Users/me` are one place, of which the shorter is the name.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    models: Mapping[str, str] = field(default_factory=dict)

    def model_here(self, name: str) -> str:
        """The name in the source of a registered model of the target."""
        return next((old for old, new in self.models.items() if new == name), name)

    def among(self, experiments: Sequence[Experiment]) -> "Names":
        """The names that these experiments of one source get; a deleted one makes room for an active one of its name.

        Raises NothingSelected when `rename` names none of them, Ambiguous for more than one: file stores may have two
        experiments of one name, and the name of one may be the id of another.
        """
        names = {e.experiment_id: e.name for e in experiments}
        renamed = {_renamed(experiments, key): plain_path(new) for key, new in self.rename.items()}
        given = {id: renamed.get(id) or self.plain(name) for id, name in names.items()}
        # On Databricks a name is free again once its experiment is deleted.
        active = Counter(given[e.experiment_id] for e in experiments if e.lifecycle_stage == ACTIVE)
        for experiment in experiments:
            id = experiment.experiment_id
            if experiment.lifecycle_stage != ACTIVE and active[given[id]] and id not in renamed:
                given[id] = old_name(given[id], id)
        by_old_name = {names[id]: new for id, new in renamed.items()}
        return Names(self, given, frozenset(renamed), by_old_name)

    def plain(self, name: str) -> str:
        """The name in the target of an experiment that is not renamed."""
        if self.prefix.startswith("/"):
            return f"{plain_path(self.prefix).rstrip('/')}/{name.lstrip('/')}"
        return self.prefix + name


def parse_renames(texts: Iterable[str]) -> dict[str, str]:
    """`OLD=NEW` pairs; the last `=` parts them, so an old name may hold one. Raises ValueError for anything else."""
    pairs = {}
    for text in texts:
        old, sign, new = text.rpartition("=")
        if not sign or not old or not new:
            raise ValueError(f"“{text}” is not OLD=NEW")
        pairs[old] = new
    return pairs


@dataclass(frozen=True, slots=True)
class Names:
    """A naming applied to the experiments of one source. `renamed` are the ids of those that were renamed by option."""

    naming: Naming
    by_id: Mapping[str, str]
    renamed: frozenset[str]
    by_old_name: Mapping[str, str]

    def of(self, experiment: Experiment) -> str:
        """The name in the target."""
        return self.by_id[experiment.experiment_id]

    def of_name(self, name: str) -> str:
        """What an experiment of that name would be called."""
        return self.by_old_name.get(name) or self.naming.plain(name)


def old_name(name: str, id: str) -> str:
    """What an experiment is called that makes room for another one of its name."""
    return f"{name} (old {id})"


def _renamed(experiments: Sequence[Experiment], key: str) -> str:
    """The id of the experiment that is to have another name."""
    found = exactly(experiments, key)
    if not found:
        raise NothingSelected(
            f"--rename names “{key}”, which is not among the experiments to carry{suggestion(key, experiments)}"
        )
    if len(found) > 1:
        raise ambiguous(key, found)
    return found[0].experiment_id
