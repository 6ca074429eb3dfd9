"""Which experiment of a target is the copy of which experiment of a source.

Experiments are matched by where they came from, never by name alone: names change, at the source and in the target,
and another experiment may take a name that was given up. From the surest to the weakest sign:

1. the copy's tags name this very experiment of this very source (see `model.lineage`); or the source's experiment is
   itself a copy of this one, and comes home;
2. the same origin id, as on copies that earlier versions made;
3. the same origin id, brought from another address: the source may have moved, or both are copies of a third. Ids such
   as “1” are the same in many workspaces, so the name must agree too, or some of the runs be there;
4. the name: an experiment of the target's own, or of another source, takes in the runs of the one of its name.

A copy that was made under another name on purpose (`--prefix`, `--rename`) is another copy, not this one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.lineage import Lineage, came_from, is_copy, origin_of_experiment, source_id
from runsync.model.naming import Names, old_name
from runsync.model.provenance import key_of

SharesRuns = Callable[[Experiment, Experiment], bool]
"""Whether runs of an experiment of the source are in one of the target; it may be asked over the wire."""


@dataclass(slots=True)
class Pairs:
    """What was found, by the id of the source's experiment.

    `by_origin` are the ids of those found by more than their name; `same_name` are experiments of the target of which
    none could be chosen by name; `repeated` are further copies of an experiment, made by earlier versions or by hand.
    """

    found: dict[str, Experiment] = field(default_factory=dict)
    by_origin: set[str] = field(default_factory=set)
    same_name: dict[str, list[Experiment]] = field(default_factory=dict)
    repeated: list[tuple[Experiment, Experiment]] = field(default_factory=list)


def pair(
    experiments: Sequence[Experiment],
    existing: Sequence[Experiment],
    names: Names,
    addresses: tuple[str, str],
    shares_runs: SharesRuns,
) -> Pairs:
    """Pairs experiments of a source with those of a target; `addresses` are the source's and the target's."""
    return _Pairing(experiments, existing, names, addresses, shares_runs).pairs()


def is_named_so(copy: Experiment, names: Names, source: Experiment | None = None) -> bool:
    """Whether the experiment is called in the target as this naming has it, or had it before a change of name.

    `source` is what it would be the copy of. Of a copy that tells nothing of its naming, one below a folder of the
    source's name (`team/churn` for `churn`) was given a prefix.
    """
    lineage = Lineage.of(copy) or _supposed(copy, names, source)
    named = names.of_name(lineage.source_name)
    if lineage.given_name in (named, old_name(named, lineage.source_id)):
        return True
    if source is None:
        return False
    was_plain = lineage.source_name == lineage.given_name
    is_other_now = was_plain and source.name != lineage.source_name and source.experiment_id in names.renamed
    return copy.name == names.of(source) or is_other_now


def _supposed(copy: Experiment, names: Names, source: Experiment | None) -> Lineage:
    prefix = names.naming.prefix
    if prefix and copy.name.startswith(prefix):
        return Lineage("", copy.name.removeprefix(prefix), copy.name)
    if source is not None and is_copy(copy) and copy.name.endswith(f"/{source.name}"):
        return Lineage("", source.name, copy.name)
    return Lineage("", copy.name, copy.name)


class _Pairing:
    """One pairing: the surest sign first, for all experiments, and each experiment of the target once."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        existing: Sequence[Experiment],
        names: Names,
        addresses: tuple[str, str],
        shares_runs: SharesRuns,
    ) -> None:
        self._experiments = experiments
        self._names = names
        self._source, self._target = map(key_of, addresses)
        self._shares_runs = shares_runs
        self._pairs = Pairs()
        self._taken: set[str] = set()
        self._by_id = {e.experiment_id: e for e in existing}
        self._by_origin: dict[str, list[Experiment]] = defaultdict(list)
        self._by_name: dict[str, list[Experiment]] = defaultdict(list)
        for experiment in existing:
            self._by_name[experiment.name].append(experiment)
            if is_copy(experiment):
                for id in {origin_of_experiment(experiment), source_id(experiment)}:
                    self._by_origin[id].append(experiment)

    def pairs(self) -> Pairs:
        signs = (self._is_this, self._is_of_this_source, self._may_be_this)
        for sign in signs:
            for must_agree in (True, False):
                self._pass(sign, must_agree)
        for experiment in self._left():
            self._by_its_name(experiment)
        for experiment in self._experiments:
            self._note_repeated(experiment)
        return self._pairs

    def _left(self) -> Iterator[Experiment]:
        return (e for e in self._experiments if e.experiment_id not in self._pairs.found)

    def _pass(self, sign: Callable[[Experiment, Experiment], bool], must_agree: bool) -> None:
        for experiment in list(self._left()):
            for there in self._near(experiment):
                agrees = there.name == self._names.of(experiment)
                if there.experiment_id in self._taken or (must_agree and not agrees) or not sign(experiment, there):
                    continue
                is_sure = agrees or sign != self._may_be_this
                if is_sure or self._shares_runs(experiment, there):
                    self._take(experiment, there)
                    self._pairs.by_origin.add(experiment.experiment_id)
                    break

    def _take(self, experiment: Experiment, there: Experiment) -> None:
        self._pairs.found[experiment.experiment_id] = there
        self._taken.add(there.experiment_id)

    def _near(self, experiment: Experiment) -> Iterator[Experiment]:
        """Experiments that may be the one by an id, active ones first, each once."""
        ids = dict.fromkeys([source_id(experiment), origin_of_experiment(experiment), experiment.experiment_id])
        own = experiment.experiment_id
        near = {own: self._by_id[own]} if self._source == self._target and own in self._by_id else {}
        near |= {e.experiment_id: e for id in ids for e in self._by_origin.get(id, ())}
        near |= {id: self._by_id[id] for id in ids if id in self._by_id}
        return iter(sorted(near.values(), key=lambda e: e.lifecycle_stage != ACTIVE))

    def _is_this(self, experiment: Experiment, there: Experiment) -> bool:
        if came_from(there) == self._source and source_id(there) == experiment.experiment_id:
            return is_named_so(there, self._names, experiment)
        is_home = came_from(experiment) == self._target and source_id(experiment) == there.experiment_id
        return is_home and self._may_be_home(experiment, there)

    def _is_of_this_source(self, experiment: Experiment, there: Experiment) -> bool:
        """A copy beside its original, in the same source, has the origin of that: then the name must tell."""
        if came_from(there) != self._source or Lineage.of(there) is not None:
            return False
        is_beside = came_from(experiment) == self._source and there.name != self._names.of(experiment)
        is_same = self._has_same_origin(experiment, there) and not is_beside
        return is_same and is_named_so(there, self._names, experiment)

    def _may_be_this(self, experiment: Experiment, there: Experiment) -> bool:
        if came_from(there) == self._source:
            return False  # and is another one's, by its tags
        if is_copy(there):
            return self._has_same_origin(experiment, there) and is_named_so(there, self._names, experiment)
        ids = (origin_of_experiment(experiment), experiment.experiment_id, source_id(experiment))
        return there.experiment_id in ids and self._may_be_home(experiment, there)

    def _may_be_home(self, experiment: Experiment, there: Experiment) -> bool:
        """Beside what is at home, an option may ask for a copy of another name."""
        is_asked_for = experiment.experiment_id in self._names.renamed and there.name != self._names.of(experiment)
        return not is_asked_for and is_named_so(there, self._names)

    def _has_same_origin(self, experiment: Experiment, there: Experiment) -> bool:
        return is_copy(there) and origin_of_experiment(there) == origin_of_experiment(experiment)

    def _by_its_name(self, experiment: Experiment) -> None:
        """Not a copy of another experiment of the same source, unless the name was asked for by option."""
        is_asked_for = experiment.experiment_id in self._names.renamed
        found = [
            there
            for there in self._by_name.get(self._names.of(experiment), ())
            if there.experiment_id not in self._taken and (is_asked_for or came_from(there) != self._source)
        ]
        active = [there for there in found if there.lifecycle_stage == ACTIVE]
        if len(active) > 1:
            self._pairs.same_name[experiment.experiment_id] = active
        elif found:
            self._take(experiment, (active or found)[0])

    def _note_repeated(self, experiment: Experiment) -> None:
        for there in self._near(experiment):
            is_again = self._is_this(experiment, there) or self._is_of_this_source(experiment, there)
            is_copy_again = is_copy(there) and is_again and experiment.experiment_id in self._pairs.by_origin
            if is_copy_again and there.experiment_id not in self._taken and there.lifecycle_stage == ACTIVE:
                self._pairs.repeated.append((experiment, there))
