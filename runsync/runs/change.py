"""Changing runs and experiments: what was asked, what was done with each, and doing it side by side."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runsync import threads
from runsync.bundle.address import Access
from runsync.errors import ITEM_ERRORS, Interrupted, RunsyncError, TooManyChanges, may_pass
from runsync.kinds import KINDS, OWN_PATHS
from runsync.kinds.experiments import EXPERIMENTS
from runsync.kinds.runs import RUNS
from runsync.model.experiment import Experiment
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.model.run import Run, Unreadable
from runsync.model.wording import many
from runsync.threads import WORKERS
from runsync.transfer.report import PARTLY_DONE, TransferReport

RENAME = "rename"
TAG = "tag"
UNTAG = "untag"
DELETE = "delete"
RESTORE = "restore"
IMPORT = "import"
UNCHANGED = "unchanged"
FAILED = "failed"
UNDECIDABLE = "undecidable"
NOT_REACHED = "not reached"
UNDER_WAY = "it was under way when this was stopped: look whether it is done"
NOUNS = tuple(kind.noun for kind in KINDS)
_NOT_CHANGED = {UNCHANGED: "unchanged", FAILED: "failed", UNDECIDABLE: "undecidable", NOT_REACHED: "not_reached"}


@dataclass(frozen=True, slots=True)
class Item:
    """What was (or would be) done with one run or experiment.

    `is_child` tells a run that came along with its parent; `new_id` is the id of what was imported anew; `error` tells
    why it failed, or why nothing can be decided; `retry`: another try may go better.
    """

    kind: str
    id: str
    name: str
    experiment: str
    action: str
    is_child: bool = False
    new_id: str = ""
    error: str = ""
    retry: bool = False


@dataclass(slots=True)
class ChangeReport:
    """`schemas/v1/change-report.schema.json`. `asked` has the options that were given.

    `pieces` are what cannot be read of runs that can be changed all the same.
    `backup` and `imported` are the reports of the export before and the import after, where there was one; `stopped`
    tells why it ended before its end, `may_go_on` whether another try may get further; `seconds` is wall time.
    """

    verb: str
    workspace: Place
    dry_run: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pieces: list[Unreadable] = field(default_factory=list)
    backup: TransferReport | None = None
    imported: TransferReport | None = None
    seconds: float = 0.0
    requests: int = 0
    stopped: str = ""
    stop_code: int = 0
    may_go_on: bool = True

    @property
    def exit_code(self) -> int:
        """0 all done, 3 when some failed or could not be decided, else that of what stopped it."""
        if self.stopped:
            return self.stop_code
        is_partly = any(item.action in (FAILED, UNDECIDABLE) for item in self.items)
        return PARTLY_DONE if is_partly or (self.imported is not None and self.imported.exit_code) else 0

    def stop(self, error: RunsyncError) -> None:
        """Ends it before its end."""
        self.stopped = str(error)
        self.stop_code = error.exit_code
        self.may_go_on = error.may_go_on

    def note_unread(self, one: Unreadable) -> None:
        """Something that may have been meant, and cannot be read: only where it is a piece, the rest can be changed."""
        if one.is_piece:
            self.pieces.append(one)
            return
        self.items.append(
            Item(one.kind, one.id, "", "", FAILED, error=f"it cannot be read: {one.reason} ({one.place})")
        )

    def note_pieces(self) -> None:
        """In one note."""
        if self.pieces:
            first = self.pieces[0]
            more = f", and {many(len(self.pieces) - 1, 'other piece')}" if self.pieces[1:] else ""
            told = f"{first.kind} {first.id}: {first.reason}{more}"
            self.notes.append(f"not read, which hinders no change: {told}")

    def of(self, *actions: str) -> list[Item]:
        """The items of some actions."""
        return [item for item in self.items if item.action in actions]

    def changed(self) -> list[Item]:
        """The items that were, or would be, changed."""
        return [item for item in self.items if item.action not in _NOT_CHANGED]

    def counts(self, kind: str) -> dict[str, int]:
        """How many of a kind were changed, and so on."""
        found = Counter(_NOT_CHANGED.get(item.action, "changed") for item in self.items if item.kind == kind)
        return {name: found[name] for name in ("changed", *_NOT_CHANGED.values())}

    def other_kinds(self) -> list[str]:
        """What is changed beside runs and experiments, by the noun."""
        return [kind for kind in NOUNS if any(item.kind == kind for item in self.items)]

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        failed = self.of(FAILED)
        return {
            "format": "runsync-change-report",
            "version": 1,
            "exit_code": self.exit_code,
            "verb": self.verb,
            "workspace": asdict(self.workspace),
            "dry_run": self.dry_run,
            "asked": self.asked,
            **{kind.name: self.counts(kind.noun) for kind in OWN_PATHS},
            "objects": {kind: self.counts(kind) for kind in self.other_kinds()},
            "items": [asdict(item) for item in self.items],
            "failed": [{"kind": i.kind, "id": i.id, "name": i.name, "error": i.error} for i in failed],
            "notes": self.notes,
            "backup": self.backup.to_document() if self.backup else None,
            "imported": self.imported.to_document() if self.imported else None,
            "seconds": self.seconds,
            "requests": self.requests,
            "stopped": self.stopped,
        }


@dataclass(frozen=True, slots=True)
class How:
    """How a change is made.

    With `dry_run` nothing is written. More than `most` changes raise TooManyChanges before anything is. `confirm` is
    called with what would be done, once, before it is; it stops everything by raising. `workers` are requests at a
    time.
    """

    dry_run: bool = False
    most: int | None = None
    confirm: Callable[[ChangeReport], None] | None = None
    workers: int = WORKERS
    access: Access = field(default_factory=Access)
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to be done. `act` gives a new id, where the thing gets one; it raises RequestRefused when refused."""

    item: Item
    act: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Together:
    """Changes to runs that a workspace makes itself, many in a request, before what is left is made one by one.

    `ids` are the runs that it may change, `items` those of them that have no change of their own, as only the workspace
    can tell whether they are meant. `act` gives what became of runs; of which it is silent they are as they were.
    """

    ids: frozenset[str]
    act: Callable[[], Sequence[Item]]
    items: Sequence[Item] = ()


def item_of(thing: Run | Experiment, action: str, home: str = "", is_child: bool = False, error: str = "") -> Item:
    """Of a run in the experiment of a name, or of an experiment."""
    if isinstance(thing, Experiment):
        return Item(EXPERIMENTS.noun, thing.experiment_id, thing.name, thing.name, action, error=error)
    return Item(RUNS.noun, thing.run_id, thing.name, home, action, is_child, error=error)


def carry_out(
    report: ChangeReport,
    waves: Sequence[Sequence[Change]],
    how: How,
    before: Callable[[], None] | None = None,
    together: Sequence[Together] = (),
) -> None:
    """Does what goes together, then the changes of one wave side by side, then those of the next; tells in the report.

    One item's failure never stops the others; what stops all is told in the report. `before` is called once it is sure
    that something is to be done. Raises TooManyChanges, and whatever `how.confirm` raises.
    """
    begun = time.monotonic()
    report.note_pieces()
    planned = [change.item for wave in waves for change in wave]
    planned += [item for each in together for item in each.items]
    check_most(report, planned, how)
    if how.dry_run:
        report.items += planned
    elif planned:
        if how.confirm is not None:
            confirm(report, planned, how)
            begun = time.monotonic()
        _guarded(report, waves, how, before, together)
    report.seconds = round(time.monotonic() - begun, 3)


def check_most(report: ChangeReport, planned: Sequence[Item], how: How) -> None:
    """Raises TooManyChanges."""
    if how.most is not None and len(planned) > how.most:
        raise TooManyChanges(
            f"{report.verb}: {len(planned)} would be changed, more than --max-changes {how.most} allows: nothing was "
            f"changed; if the selection is as it should be, say --max-changes {len(planned)}"
        )


def confirm(report: ChangeReport, planned: Sequence[Item], how: How) -> None:
    """Asks whoever is to agree. Raises what that raises."""
    if how.confirm is not None and planned:
        how.confirm(replace(report, items=[*report.items, *planned]))


def _guarded(
    report: ChangeReport,
    waves: Sequence[Sequence[Change]],
    how: How,
    before: Callable[[], None] | None,
    together: Sequence[Together],
) -> None:
    done: dict[int, Item] = {}
    told: dict[str, Item] = {}
    changes = [change for wave in waves for change in wave]
    others = [item for each in together for item in each.items]
    planned = {item.id: item for item in (*(change.item for change in changes), *others)}
    try:
        if before is not None:
            before()
        how.progress.expect(len(changes) + len(others))
        for each in together:
            _at_once(each, planned, how, told)
        for wave in waves:
            _side_by_side([change for change in wave if change.item.id not in told], how, done)
    except KeyboardInterrupt:
        report.stop(Interrupted("stopped from outside; run it again to go on"))
    except RunsyncError as error:
        report.stop(error)
    known = [(change.item, done.get(id(change))) for change in changes] + [(item, None) for item in others]
    report.items += [one or told.get(item.id) or replace(item, action=NOT_REACHED) for item, one in known]
    report.items += [item for run_id, item in told.items() if run_id not in planned]


def _at_once(group: Together, planned: Mapping[str, Item], how: How, told: dict[str, Item]) -> None:
    """Until it tells more, all of its runs are under way; so they stay where it cannot be told what became of them."""
    told.update((run_id, replace(planned[run_id], action=FAILED, error=UNDER_WAY, retry=True)) for run_id in group.ids)
    try:
        with threads.pool(1, "runsync-change") as pool:
            items = pool.submit(group.act).result()
    except ITEM_ERRORS as error:
        told.update((run_id, replace(told[run_id], error=f"{error}; {UNDER_WAY}")) for run_id in group.ids)
        return
    for run_id in group.ids:
        del told[run_id]
    told.update((item.id, item) for item in items)
    how.progress.advance(runs=len(items))


def _side_by_side(wave: Sequence[Change], how: How, done: dict[int, Item]) -> None:
    futures: dict[Future[Item], Change] = {}
    try:
        with threads.pool(how.workers, "runsync-change") as pool:
            futures = {pool.submit(_attempt, change): change for change in wave}
            for future in as_completed(futures):
                future.result()
                how.progress.advance(runs=1)
    finally:  # also of what was under way when something stopped it
        done.update((id(change), told) for future, change in futures.items() if (told := _told(future, change)))


def _told(future: "Future[Item]", change: Change) -> Item | None:
    """What is known of a change; None where it was not begun."""
    if future.running():
        return replace(change.item, action=FAILED, error=UNDER_WAY, retry=True)
    error = future.exception() if future.done() else None
    if not future.done() or isinstance(error, Interrupted):
        return None
    return future.result() if error is None else replace(change.item, action=FAILED, error=str(error))


def _attempt(change: Change) -> Item:
    try:
        return replace(change.item, new_id=change.act() or "")
    except Interrupted:
        return replace(change.item, action=FAILED, error=UNDER_WAY, retry=True)
    except ITEM_ERRORS as error:
        return replace(change.item, action=FAILED, error=str(error), retry=may_pass(error))
