"""Names of copies follow the source, in an order in which each new name is free: chains, swaps and cycles too.

A name may be held by a copy of an experiment that the source has given it up for: one that it has no longer, or that
it calls otherwise now and that is not part of this transfer. That copy is called “NAME (old ID)” from then on, and gets
its name when it is brought itself. A name that anything else holds is an error of the one experiment.

Whoever is stopped on the way leaves each experiment under its old name, its new one, or one that no other has; the next
transfer finds it by its tags and goes on.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from runsync.model.experiment import DELETED, Experiment
from runsync.model.lineage import came_from, origin_of_experiment, source_id
from runsync.model.naming import Names, old_name
from runsync.model.pairing import is_named_so
from runsync.model.provenance import key_of
from runsync.workspaces.arrival.counterpart import Counterpart


@dataclass(frozen=True, slots=True)
class Move:
    """An experiment of the target gets another name. `of` is whose name follows (None: it makes room)."""

    experiment: Experiment
    name: str
    of: Counterpart | None = None


class Renaming:
    """The names of one target while they change. Writes nothing."""

    def __init__(self, existing: Sequence[Experiment], names: Names, deleted_keep_names: bool) -> None:
        holders = [e for e in existing if deleted_keep_names or e.lifecycle_stage != DELETED]
        self.moved_aside: list[Move] = []
        self._names = names
        self._holders = {e.name: e for e in holders}
        self._held = {e.experiment_id: e.name for e in holders}

    def plan(self, counterparts: Collection[Counterpart]) -> list[Move]:
        """All moves in their order; notes on each counterpart why it cannot have its name."""
        able = [c for c in counterparts if not c.error]
        matched = {c.found.experiment_id for c in counterparts if c.found is not None}
        moves = [move for c in able if c.is_to_rename or c.found is None for move in self._make_room(c, matched)]
        waiting = [c for c in able if c.is_to_rename]
        while waiting:
            moving = {c.target_id for c in waiting}
            free = [c for c in waiting if c.name not in self._holders]
            for one in waiting:
                if one.name in self._holders and self._holders[one.name].experiment_id not in moving:
                    one.name_error = self._taken(one)
            if not free and not any(c.name_error for c in waiting):
                moves.append(self._move(waiting[0], self._unused(f"{waiting[0].name} (renaming {waiting[0].origin})")))
            moves += [self._move(c, c.name) for c in free]
            waiting = [c for c in waiting if c not in free and not c.name_error]
        for one in able:
            if one.found is None and one.name in self._holders:
                one.error = self._taken(one)
        return moves

    def _make_room(self, one: Counterpart, matched: Collection[str]) -> Iterator[Move]:
        holder = self._holders.get(one.name)
        if holder is None or holder.experiment_id in matched or came_from(holder) != key_of(one.came_from):
            return
        if is_named_so(holder, self._names):
            move = Move(holder, self._unused(old_name(one.name, source_id(holder) or origin_of_experiment(holder))))
            self._rename(holder, move.name)
            self.moved_aside.append(move)
            yield move

    def _move(self, one: Counterpart, name: str) -> Move:
        assert one.found is not None
        self._rename(one.found, name)
        return Move(one.found, name, one)

    def _rename(self, experiment: Experiment, name: str) -> None:
        old = self._held.get(experiment.experiment_id, "")
        if old in self._holders and self._holders[old].experiment_id == experiment.experiment_id:
            del self._holders[old]
        self._holders[name] = experiment
        self._held[experiment.experiment_id] = name

    def _unused(self, name: str) -> str:
        number, unused = 1, name
        while unused in self._holders:
            number += 1
            unused = f"{name} {number}"
        return unused

    def _taken(self, one: Counterpart) -> str:
        holder = self._holders[one.name]
        stage = " (deleted)" if holder.lifecycle_stage == DELETED else ""
        stays = f": its copy stays “{one.found.name}”" if one.found is not None else ""
        return (
            f"the target has another experiment “{one.name}”, {holder.experiment_id}{stage}{stays}; give this one "
            f"another name with --rename '{one.source.experiment_id}=NEW', or rename the other one"
        )
