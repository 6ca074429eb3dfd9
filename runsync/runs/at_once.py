"""Runs of an experiment deleted or restored by the workspace itself, many in a request, and held against the plan.

Databricks goes by when it made or deleted a run, which it does not tell; a plan goes by start times, and by what
runsync noted. So it is asked only for times at which nothing but the plan can be met, for no more runs than the plan
has, and looked at afterwards: what it left is then done one by one, and what else was met is told. A request that is
refused, or whose answer is lost, is sent again only after a look at what is left.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace

from runsync.contract.editor import BulkChanges
from runsync.contract.source import Source
from runsync.errors import ABSENT, AccessDenied, RequestRefused
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.fields import NEWEST_FIRST
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.runs.change import FAILED, ChangeReport, Item, item_of

CLOCKS = 5 * 60 * 1000
"""Milliseconds by which our clock may be ahead of the workspace's."""
SLIP = 24 * 60 * 60 * 1000
"""Milliseconds by which a run's start may be later than the time when it was made, as in a wrong time zone."""
TRIES = 3
OLDEST_FIRST = tuple(replace(order, descending=False) for order in NEWEST_FIRST)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done in one experiment: with which runs, by id, and what each is told as once it is done."""

    source: Source
    bulk: BulkChanges
    report: ChangeReport
    experiment: Experiment
    items: Mapping[str, Item]

    def deleted(self) -> dict[str, Run]:
        """The runs of the experiment that are deleted now, by id."""
        batches = self.source.batches([self.experiment], Selection(state=DELETED))
        return {run.run_id: run for batch in batches for run in batch.runs}

    def one_by_one(self, why: str) -> None:
        """Notes that the workspace was not asked."""
        self.report.notes.append(f"“{self.experiment.name}”: {why}: it was done one by one")

    def told(self, runs: Iterable[Run], what: str) -> list[Item]:
        """Of runs that were met, planned or not."""
        why = f"{what} without being planned: by the workspace along with the others, or by somebody else meanwhile"
        name = self.experiment.name
        return [self.items.get(run.run_id) or item_of(run, FAILED, name, error=why) for run in runs]


def delete(plan: Plan, since: int, until: int, listed_at: int) -> list[Item]:
    """Deletes of the planned runs those that were made long enough before any other. Gives what became of which.

    `since` is the first start time among them; up to `until` all runs that there were at `listed_at` are planned (epoch
    milliseconds).
    """
    try:
        until = _before_others(plan, until, listed_at)
        before = plan.deleted() if until >= since else None
    except RequestRefused as error:
        plan.one_by_one(str(error))
        return []
    if before is None:
        return []
    after = _ask(
        plan,
        lambda most: plan.bulk.delete_runs(plan.experiment.experiment_id, until, most),
        lambda deleted: plan.items.keys() - deleted,
        before,
    ).deleted
    return plan.told((run for id, run in after.items() if id in plan.items or id not in before), "deleted")


def restore(plan: Plan, since: int, known: Collection[str]) -> tuple[list[Item], bool]:
    """Restores of the planned runs those that were deleted at that time or later (epoch milliseconds).

    Gives what became of which, and whether those that it does not tell of were surely deleted before. Nothing is done
    where runs were deleted since the plan was made; `known` are all that it looked at.
    """
    try:
        before = plan.deleted()
    except RequestRefused as error:
        plan.one_by_one(str(error))
        return [], False
    if not before.keys() <= set(known):
        plan.one_by_one("runs were deleted meanwhile")
        return [], False
    answer = _ask(
        plan,
        lambda most: plan.bulk.restore_runs(plan.experiment.experiment_id, since, most),
        lambda deleted: plan.items.keys() & deleted,
        before,
    )
    back = {id: run for id, run in before.items() if id not in answer.deleted}
    if answer.count != len(back):  # some may have been purged
        found = plan.source.batch(list(back), [plan.experiment]).runs
        back = {run.run_id: run for run in found if run.lifecycle_stage == ACTIVE}
    return plan.told(back.values(), "restored"), answer.is_all


def _before_others(plan: Plan, until: int, listed_at: int) -> int:
    """A time at which, and before, no run can have been made but those that are planned."""
    until = min(until, listed_at)
    later = plan.source.in_order([plan.experiment], Selection(state=ACTIVE, since=until + 1), OLDEST_FIRST)
    first = next((run for run in later if run.run_id not in plan.items), None)
    safe = min(until, listed_at - CLOCKS)
    return safe if first is None else min(safe, (first.start_time or 0) - SLIP)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The runs that are deleted after it, by id, and how many the workspace says it changed.

    `is_all` says that it would have changed more of them, had there been any that it takes.
    """

    deleted: Mapping[str, Run]
    count: int = 0
    is_all: bool = False


def _ask(
    plan: Plan,
    ask: Callable[[int], int],
    left_of: Callable[[Set[str]], Set[str]],
    deleted: Mapping[str, Run],
) -> _Answer:
    """Until the workspace has answered, or nothing is left; where it fails as often as it is tried, a note says why."""
    refusal = None
    for _ in range(TRIES):
        left = left_of(deleted.keys())
        if not left:
            break
        try:
            count = ask(len(left))
            return _Answer(plan.deleted(), count, count < len(left))
        except RequestRefused as error:
            refusal, deleted = error, plan.deleted()
            if isinstance(error, AccessDenied) or error.code == ABSENT:
                break
    left = left_of(deleted.keys())
    if left:
        why = f"the change of many runs at once failed ({refusal}): {len(left):,} were left to be done one by one"
        plan.report.notes.append(f"“{plan.experiment.name}”: {why}")
    return _Answer(deleted)
