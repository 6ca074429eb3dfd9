"""Two imports at once into one target: both go on with the same one of each two runs they made.

Each looks for twins after it has made its runs, claims those it goes on with (in the first request that fills them),
and looks again before it marks them whole. Of two twins the one already whole stays, else the one that is claimed,
else the one of the smaller id; the other import takes back its own and fills up the one that stays. Two of a run can
remain at first when one import needs longer from its first look to its first request than the other needs for all of
the run. So whoever met another looks once more at its end, and takes back such second copies as it made, and what
killed imports left.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from runsync.errors import ITEM_ERRORS
from runsync.model.experiment import ACTIVE
from runsync.model.identity import CLAIMED, COMPLETE, COPY, DUPLICATE_OF, ORIGIN, SESSION, origin_of
from runsync.model.mark import Mark
from runsync.model.not_carried import NAMED
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.arrival.present import Present, Where
from runsync.workspaces.rest.links import Links
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.search import RunSearch
from runsync.workspaces.rest.workspace import RestWorkspace

LOOK_AGAIN = 1.0
"""Seconds between looks at a run that another import is about to finish."""
OF_COPIES = f"tags.`{ORIGIN}` LIKE '%'"
OF_DIRECT_COPIES = f"tags.`{COPY}` LIKE '%'"


class Twins:
    """The look for runs that another import made at the same time."""

    def __init__(self, workspace: RestWorkspace, writer: RunWriter, links: Links, present: Present) -> None:
        self.has_met_others = False
        """Whether another import is, or was, at work on the same runs."""
        self._workspace = workspace
        self._writer = writer
        self._links = links
        self._present = present
        self._places: set[str] = set()
        """The experiments in which this import made runs, or found unfinished ones."""
        self._deleted: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Which runs were active though they had been taken back, and are deleted again."""
        if not self._deleted:
            return []
        count, more = many(len(self._deleted), "second copy"), ", …" if len(self._deleted) > NAMED else ""
        return [
            f"deleted {count} that an import had taken back: {', '.join(self._deleted[:NAMED])}{more}; to keep "
            f"one, restore it and remove its tag {DUPLICATE_OF}"
        ]

    def settle(self, copies: Sequence[Copy]) -> list[Copy]:
        """Looks for twins of copies that this import made, or found unfinished; gives those that moved to the other's
        run."""
        self.has_met_others |= any(copy.is_left_over for copy in copies)
        ours = [c for c in copies if (c.present is None or c.is_left_over) and not c.is_whole and c.target_id]
        if not ours:
            return []
        self._places.update(copy.experiment_id for copy in ours)
        starts = [copy.run.start_time or 0 for copy in ours]
        started = f" AND attributes.start_time >= {min(starts)} AND attributes.start_time <= {max(starts)}"
        places = sorted({copy.experiment_id for copy in ours})
        found = copies_in(self._workspace.search, places, started)
        moved = []
        for copy in ours:
            twins = found.get((copy.experiment_id, origin_of(copy.run)), [])
            if len(twins) > 1:
                self.has_met_others = True
                self._present.twins.add((copy.experiment_id, origin_of(copy.run)))
            stays = min(twins, key=_rank, default=None)
            if stays is not None and stays.run_id != copy.target_id:
                try:
                    self._writer.discard(copy.target_id, stays.run_id)
                except ITEM_ERRORS as error:
                    copy.fail(error)
                    continue
                self._move(copy, stays)
                moved.append(copy)
        return moved

    def unfinished(self, copies: Sequence[Copy]) -> list[Copy]:
        """Waits for the other imports to finish their runs, to which these copies moved, as long as patience lasts;
        gives those that are still not whole."""
        client = self._workspace.client
        deadline = time.monotonic() + client.patience.seconds
        left = list(copies)
        while left and time.monotonic() < deadline:
            client.pause(LOOK_AGAIN)
            wanted = Selection(runs=tuple(copy.target_id for copy in left))
            search, places = self._workspace.search, sorted({copy.experiment_id for copy in left})
            found = (run for ids in search.chunks(places) for run in search.of(ids, wanted))
            marks = {run.run_id: run.tags.get(COMPLETE, "") for run in found}
            for copy in left:
                copy.is_whole = copy.mark.is_met_by(Mark.parse(marks.get(copy.target_id, "")))
            left = [copy for copy in left if not copy.is_whole]
        return left

    def end(self, existing: Sequence[str]) -> dict[str, str]:
        """Takes back what killed imports left beside runs that are whole, and of two whole ones that which this import
        made; gives the runs that were taken back, by whomever, each with the one that stays (none where this import met
        no other). `existing` are the experiments that were there before it: a search for each so many of them."""
        wanted = self._present.twins
        if not self.has_met_others and not wanted:
            self._taken_back(existing, "active")
            return {}
        places = sorted(self._places.union(existing, (place for place, _ in wanted)))
        for ids in self._workspace.search.chunks(places):
            for where, twins in copies_in(self._workspace.search, ids).items():
                if where in wanted:
                    self._take_back(sorted(twins, key=_rank))
        return self._taken_back(places, "all")

    def _take_back(self, twins: Sequence[Run]) -> None:
        stays = twins[0]
        for twin in twins[1:] if COMPLETE in stays.tags else ():
            is_same = twin.tags.get(COMPLETE) == stays.tags[COMPLETE]
            if COMPLETE not in twin.tags or (is_same and self._writer.made(twin)):
                with suppress(*ITEM_ERRORS):  # the other import may be about to do it
                    self._writer.discard(twin.run_id, stays.run_id)

    def _taken_back(self, places: Sequence[str], state: str) -> dict[str, str]:
        """Deletes those that a killed import did not come to delete, as long as the one that stays is there. A person
        may as well have restored them: nothing tells, so each is named."""
        instead: dict[str, str] = {}
        search = self._workspace.search
        for ids in search.chunks(places):
            found = list(search.every(ids, f"tags.`{DUPLICATE_OF}` LIKE '%'", state))
            instead.update((run.run_id, run.tags[DUPLICATE_OF]) for run in found)
            active = [run for run in found if run.lifecycle_stage == ACTIVE]
            there = Selection(runs=tuple(run.tags[DUPLICATE_OF] for run in active), state=ACTIVE)
            whole = {run.run_id for run in search.of(ids, there)} if active else set()
            for run in active:
                if run.tags[DUPLICATE_OF] in whole:
                    with suppress(*ITEM_ERRORS):
                        self._writer.delete(run.run_id)
                        self._deleted.append(run.run_id)
        return instead

    def _move(self, copy: Copy, stays: Run) -> None:
        self._links.move(copy, stays.run_id)
        copy.target_id, copy.artifact_uri, copy.tags_there = stays.run_id, stays.artifact_uri, stays.tags
        copy.is_whole = copy.mark.is_met_by(Mark.parse(stays.tags.get(COMPLETE, "")))
        copy.present = None
        copy.error, copy.retry = "", False  # what was refused on the run that was taken back says nothing of this one


def copies_in(search: RunSearch, places: Sequence[str], started: str = "") -> dict[Where, list[Run]]:
    """All copies in those experiments, by experiment and origin; `started` narrows the search."""
    found: dict[Where, list[Run]] = {}
    for ids in search.chunks(places):
        for run in search.every(ids, OF_COPIES + started):
            found.setdefault((run.experiment_id, origin_of(run)), []).append(run)
    return found


def _rank(run: Run) -> tuple[int, str]:
    """Of twins the least stays: a whole one, one that is claimed, the one of the smaller id."""
    claimed = run.tags.get(SESSION, "").endswith(CLAIMED)
    return (0 if COMPLETE in run.tags else 1 if claimed else 2, run.run_id)
