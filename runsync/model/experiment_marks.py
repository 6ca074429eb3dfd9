"""Tags of ours on an experiment that tell which of what it holds was brought, for objects that have no tags of their
own: `runsync.brought.KIND.ID` is `HERE FROM`, the id at the place where it was made, the id here, and the key of the
workspace that it was brought from (see `provenance.key_of`)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from runsync.model.experiment import Experiment
from runsync.model.identity import PREFIX

BROUGHT = PREFIX + "brought."


@dataclass(frozen=True, slots=True)
class Mark:
    """One object: the kind that it is of, the ids that it has where it was made and `here`, and the key of the
    workspace that it `came_from`."""

    kind: str
    origin: str
    here: str
    came_from: str

    @property
    def tag(self) -> dict[str, str]:
        """As it stands on the experiment."""
        return {f"{BROUGHT}{self.kind}.{self.origin}": f"{self.here} {self.came_from}"}


def marks(experiment: Experiment, kind: str) -> Iterator[Mark]:
    """Those of a kind on an experiment."""
    prefix = f"{BROUGHT}{kind}."
    for key, value in experiment.tags.items():
        here, _, came_from = value.partition(" ")
        if key.startswith(prefix) and here:
            yield Mark(kind, key.removeprefix(prefix), here, came_from)


def origins(experiments: Iterable[Experiment], kind: str) -> Mapping[str, str]:
    """The ids where they were made of the objects of a kind that were brought, by their ids here."""
    return {mark.here: mark.origin for each in experiments for mark in marks(each, kind)}
