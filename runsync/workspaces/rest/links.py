"""Links between the runs of one import (parents and roots), in whatever order their runs come, and to their models."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from runsync import threads
from runsync.errors import ITEM_ERRORS
from runsync.kinds.left_behind import MODEL_LINKS, PARENT_LINKS
from runsync.model.experiment import DELETED
from runsync.model.identity import LINK_TAGS, ORIGIN, PARENT, SOURCE, origin_of
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.arrival.copy import Copy, each, outline, target_tags
from runsync.workspaces.rest.model_links import ModelLinks
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.search import IDS_A_SEARCH, chunks
from runsync.workspaces.rest.workspace import RestWorkspace

FEW = 20
"""Runs that are looked for one by one."""
AT_ONCE = 8
"""Runs that are finished side by side in the end."""


class Links:
    """Knows the target's id of every run that was looked at, and sets the links once both ends are in."""

    def __init__(self, workspace: RestWorkspace, writer: RunWriter) -> None:
        self.models: ModelLinks | None = None
        """Those to logged models, which come after all runs; None where the target has none."""
        self.orphans: list[str] = []
        """Runs whose parent is nowhere in the target."""
        self._workspace = workspace
        self._writer = writer
        self._without_place = 0
        self._new_ids: dict[str, str] = {}
        self._foreseen: dict[str, Run] = {}
        """Runs that a dry run would make or change."""
        self._outside: set[str] = set()
        self._waiting: list[Copy] = []
        self._left: list[Copy] = []
        self._linked: list[Copy] = []
        self._lock = Lock()
        self._searching = Lock()

    def note(self, source_id: str, target_id: str) -> None:
        """A run of the source is that run of the target."""
        with self._lock:
            self._new_ids[source_id] = target_id

    def move(self, copy: Copy, stays: str) -> None:
        """The copy's run was taken back for its twin, which goes on as the copy."""
        with self._lock:
            self._new_ids[copy.run.run_id] = stays

    def count(self, runs: Iterable[Run]) -> None:
        """Notes what of the links of these runs the target has no place for."""
        if self.models is None:
            with self._lock:
                self._without_place += sum(len(run.model_inputs) + len(run.model_outputs) for run in runs)

    def left(self, kept: str) -> list[NotCarried]:
        """Links that were not set; `kept` says where they are still."""
        left = []
        if self._without_place:
            left.append(MODEL_LINKS.left(self._without_place, f"the target has no logged models; {kept}"))
        if self.orphans:
            why = "the parent is not in the target; its old id is in runsync.source.mlflow.parentRunId"
            left.append(PARENT_LINKS.left(len(self.orphans), why, tuple(self.orphans[:NAMED])))
        return left + (self.models.left() if self.models is not None else [])

    def tags(self, run: Run, target_id: str) -> dict[str, str]:
        """The run's tags as they read in the target, with the links that are known by now."""
        return target_tags(run, target_id, self._new_ids.get)

    def check_later(self, copy: Copy) -> None:
        """The copy is left as it is, unless a run it links to comes only now."""
        copy.let_go()
        with self._lock:
            self._left.append(copy)

    def known(self, source_id: str) -> str | None:
        """The target's id of a run of the source, as far as that was met."""
        return self._new_ids.get(source_id)

    def find(self, source_id: str) -> str | None:
        """Likewise, in the whole target."""
        with self._searching:
            self._search(source_id, source_id)
        return self._new_ids.get(source_id)

    def are_known(self, copy: Copy) -> bool:
        """Whether the runs and models it links to are in; else it is finished at the end."""
        tags = self.tags(copy.run, copy.target_id)
        if not self._waits_for_models(copy.run) and all(tag in tags for tag in LINK_TAGS if tag in copy.run.tags):
            return True
        copy.let_go()
        with self._lock:
            self._waiting.append(copy)
        return False

    def _waits_for_models(self, run: Run) -> bool:
        """A deleted run takes no points of models any more."""
        is_named = run.model_inputs or run.model_outputs or run.lifecycle_stage == DELETED
        return self.models is not None and bool(is_named)

    def finish(self, copy: Copy) -> None:
        """Marks a copy whole; sets right a link to a run that was taken back for its twin meanwhile."""
        self._set(copy, self._other(copy))
        self._writer.finish(copy)

    def check_again(self, copies: Sequence[Copy]) -> None:
        """Runs that are in, by this import or another; `relink` sets their links right once all are."""
        linked = [copy for copy in copies if any(tag in copy.run.tags for tag in LINK_TAGS)]
        for copy in linked:
            copy.let_go()
        with self._lock:
            self._linked += linked

    @property
    def waiting(self) -> Sequence[Copy]:
        """Copies that were left unfinished for want of a run they link to."""
        return self._waiting

    def finish_waiting(self, others: Sequence[Copy]) -> None:
        """Finishes them, now that all runs are in; `others` are finished by another import."""
        left = {copy.target_id for copy in others}
        self._find_many(copy.run for copy in self._waiting)
        todo = [copy for copy in self._waiting if not copy.is_whole and copy.target_id not in left]
        with threads.pool(AT_ONCE, "runsync-request") as pool:
            each(pool, self._finish_waiting, todo)

    def _finish_waiting(self, copy: Copy) -> None:
        self._set(copy, self._missing(copy))
        if self.models is not None:
            self.models.set(copy)
        self._writer.finish(copy)

    def foresee(self, run: Run) -> None:
        """The run would be made or changed."""
        with self._lock:
            self._foreseen[run.run_id] = outline(run)

    def foresee_end(self) -> bool:
        """Notes the parents that would be nowhere in the target. Returns whether a link of a run that is left as it is
        would be set."""
        runs = (*self._foreseen.values(), *(copy.run for copy in self._left))
        self._find_many(run for run in runs if run.tags.get(PARENT) not in self._foreseen)
        for run in runs:
            if (parent := run.tags.get(PARENT)) and parent not in self._foreseen:
                self._find_outside(run, PARENT)
                if parent not in self._new_ids:
                    self.orphans.append(run.run_id)
        return any(self._other(copy) for copy in self._left)

    def relink(self, instead: Mapping[str, str]) -> Iterator[Copy]:
        """Sets right what only the end shows; gives the copies for which that was refused.

        These are finished runs with a link to a run that was taken back for its twin after that, and runs left as
        they were, when a run they link to has come only now. `instead` tells of runs that this and other imports took
        back (see `Twins.end`): others may have set links as well, so the last of them to end reads all links again.
        """
        if instead:
            self._read_again(instead)
        for copy in self._linked:
            stale = self._other(copy)
            if stale:
                try:
                    self._writer.relink(copy.target_id, stale, copy.run.lifecycle_stage == DELETED)
                except ITEM_ERRORS as error:
                    copy.fail(error)
                    yield copy
        self._find_many(copy.run for copy in self._left)
        for copy in self._left:
            try:
                links = self._missing(copy)
                self._set(copy, links)
                if self.models is not None and self.models.are_new(copy):
                    self.models.set(copy)
                if copy.is_touched:
                    self._writer.finish(copy)
            except ITEM_ERRORS as error:
                copy.fail(error)
                yield copy

    def _read_again(self, instead: Mapping[str, str]) -> None:
        """What the server tells of the runs that link to others."""
        places = sorted({copy.experiment_id for copy in self._linked})
        for source_id, target_id in self._new_ids.items():
            self._new_ids[source_id] = last(instead, target_id)
        for copy in self._linked:
            copy.target_id = last(instead, copy.target_id)
        wanted = Selection(runs=tuple(copy.target_id for copy in self._linked))
        search = self._workspace.search
        there = {run.run_id: run.tags for ids in search.chunks(places) for run in search.of(ids, wanted)}
        for copy in self._linked:
            copy.tags_there = there.get(copy.target_id, copy.tags_there)

    def _set(self, copy: Copy, links: Mapping[str, str]) -> None:
        for tag, value in links.items():
            self._writer.tag(copy, tag, value)
        copy.tags_there = {**copy.tags_there, **links}

    def _missing(self, copy: Copy) -> dict[str, str]:
        """Links that the target has not yet, or has otherwise; notes a parent that is nowhere in it."""
        for tag in LINK_TAGS:
            if tag in copy.run.tags:
                self._find_outside(copy.run, tag)
        if PARENT in copy.run.tags and PARENT not in self.tags(copy.run, copy.target_id):
            self.orphans.append(copy.run.run_id)
        return self._other(copy)

    def _other(self, copy: Copy) -> dict[str, str]:
        """Links that are known, and that the target has not, or has otherwise."""
        tags = self.tags(copy.run, copy.target_id)
        return {tag: tags[tag] for tag in LINK_TAGS if tag in tags and copy.tags_there.get(tag) != tags[tag]}

    def _find_outside(self, run: Run, tag: str) -> None:
        """Looks in the whole target for a run that this one links to and that is not in this import."""
        with self._searching:
            if origin := self._unknown(run, tag):
                self._search(run.tags[tag], origin)

    def _search(self, source_id: str, origin: str) -> None:
        if source_id in self._new_ids or source_id in self._outside or not origin.isalnum():
            return
        self._outside.add(source_id)
        for condition in (f"tags.`{ORIGIN}` = '{origin}'", f"attributes.run_id = '{origin}'"):
            for found in self._workspace.search_everywhere(condition):
                self._new_ids[source_id] = found.run_id
                return

    def _unknown(self, run: Run, tag: str) -> str:
        """The id with which the run that this one links to was born, where it was not looked for yet; else ""."""
        if tag not in run.tags or run.tags[tag] in self._new_ids or run.tags[tag] in self._outside:
            return ""
        origin = run.tags.get(SOURCE + tag, run.tags[tag])
        return origin if origin.isalnum() else ""

    def _find_many(self, runs: Iterable[Run]) -> None:
        """Looks for all of those at once, where they are many: by reading all copies and the runs of these ids."""
        wanted: dict[str, set[str]] = {}
        for run in runs:
            for tag in LINK_TAGS:
                if origin := self._unknown(run, tag):
                    wanted.setdefault(origin, set()).add(run.tags[tag])
        if len(wanted) <= FEW:
            return
        copies = self._workspace.search_everywhere(f"tags.`{ORIGIN}` LIKE '%'")
        found = [(origin_of(run), run.run_id) for run in copies]
        for ids in chunks(sorted(wanted), IDS_A_SEARCH):
            condition = f"attributes.run_id IN ({', '.join(map(repr, ids))})"
            found += [(run.run_id, run.run_id) for run in self._workspace.search_everywhere(condition)]
        for origin, target_id in found:
            for source_id in wanted.get(origin, ()):
                self._new_ids.setdefault(source_id, target_id)
        self._outside.update(*wanted.values())


def has_links(run: Run) -> bool:
    """Whether it names other runs or logged models."""
    return any(tag in run.tags for tag in LINK_TAGS) or bool(run.model_inputs or run.model_outputs)


def last(instead: Mapping[str, str], run_id: str) -> str:
    """The run that stays of one that was taken back, perhaps for another that was taken back as well."""
    seen = set()
    while run_id in instead and run_id not in seen:
        seen.add(run_id)
        run_id = instead[run_id]
    return run_id
