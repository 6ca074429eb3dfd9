"""What experiments are called in a target."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runsync.errors import WrongUsage
from runsync.model.experiment import ACTIVE, Experiment


@dataclass(frozen=True, slots=True)
class Naming:
    """How experiments are called in the target: `rename` maps single names or ids, `prefix` goes before all others.

    A prefix that begins with a slash is a folder, as Databricks has them: a slash stands between it and the name. There
    `/Workspace/Users/me` and `/Users/me` are one place, of which the shorter is the name.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""

    def among(self, experiments: Sequence[Experiment]) -> "Names":
        """The names that these experiments of one source get; a deleted one makes room for an active one of its name.

        Raises WrongUsage when `rename` names none of them, or more than one: file stores may have two experiments of
        one name, and the name of one may be the id of another.
        """
        by_name: dict[str, set[str]] = defaultdict(set)
        for experiment in experiments:
            by_name[experiment.name].add(experiment.experiment_id)
        names = {e.experiment_id: e.name for e in experiments}
        renamed = {_meant(key, names, by_name): plain_path(new) for key, new in self.rename.items()}
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


def plain_path(name: str) -> str:
    """A path in Databricks without `/Workspace` before it: experiments are found by their names only so."""
    return name.removeprefix("/Workspace") if name.startswith("/Workspace/") else name


def _meant(key: str, names: Mapping[str, str], by_name: Mapping[str, set[str]]) -> str:
    """The id of the experiment that a name or an id means; `names` are those of all experiments, by id."""
    named = by_name.get(key, set())
    if key in names:
        others = named - {key}
        if others and len(by_name[names[key]]) == 1:
            raise WrongUsage(
                f"--rename '{key}=…': “{key}” is the id of “{names[key]}” and the name of experiment {min(others)}: "
                f"give the name of the one, --rename '{names[key]}=NEW', or the id of the other, "
                f"--rename '{min(others)}=NEW'"
            )
        return key
    if not named:
        raise WrongUsage(f"--rename names “{key}”, which is not among the experiments to carry")
    if len(named) > 1:
        raise WrongUsage(
            f"--rename '{key}=…': {len(named)} experiments are called “{key}” ({', '.join(sorted(named))}): give the "
            f"id of one, as in --rename '{min(named)}=NEW'"
        )
    return min(named)
