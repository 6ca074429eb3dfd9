"""Links between the runs of one import (parents and roots), in whatever order their runs come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from runsync.errors import ITEM_ERRORS
from runsync.model.experiment import DELETED
from runsync.model.identity import LINK_TAGS, ORIGIN, PARENT, SOURCE
from runsync.model.run import Run
from runsync.workspaces.arrival.copy import Copy, target_tags
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.workspace import RestWorkspace


class Links:
    """Knows the target's id of every run that was looked at, and sets the links once both ends are in."""

    def __init__(self, workspace: RestWorkspace, writer: RunWriter) -> None:
        self.orphans: list[str] = []
        """Runs whose parent is nowhere in the target."""
        self._workspace = workspace
        self._writer = writer
        self._new_ids: dict[str, str] = {}
        self._outside: set[str] = set()
        self._waiting: list[Copy] = []
        self._left: list[Copy] = []
        self._linked: list[_Linked] = []
        self._moved: dict[str, str] = {}
        self._lock = Lock()

    def note(self, source_id: str, target_id: str) -> None:
        """A run of the source is that run of the target."""
        with self._lock:
            self._new_ids[source_id] = target_id

    def move(self, copy: Copy, stays: str) -> None:
        """The copy's run was taken back for its twin, which goes on as the copy."""
        with self._lock:
            self._moved[copy.target_id] = stays
            self._new_ids[copy.run.run_id] = stays

    def tags(self, run: Run, target_id: str) -> dict[str, str]:
        """The run's tags as they read in the target, with the links that are known by now."""
        return target_tags(run, target_id, self._new_ids.get)

    def check_later(self, copy: Copy) -> None:
        """The copy is left as it is, unless a run it links to comes only now."""
        with self._lock:
            self._left.append(copy)

    def are_known(self, copy: Copy) -> bool:
        """Whether the runs it links to are in; else it is finished at the end."""
        tags = self.tags(copy.run, copy.target_id)
        if all(tag in tags for tag in LINK_TAGS if tag in copy.run.tags):
            return True
        with self._lock:
            self._waiting.append(copy)
        return False

    def finish(self, copy: Copy) -> None:
        """Marks a copy whole; sets right a link to a run that was taken back for its twin meanwhile."""
        tags = self.tags(copy.run, copy.target_id)
        for tag in LINK_TAGS:
            if tag in tags and copy.tags_there.get(tag) != tags[tag]:
                self._writer.tag(copy, tag, tags[tag])
        self._writer.finish(copy)
        links = frozenset((tag, tags[tag]) for tag in LINK_TAGS if tag in tags)
        if links and copy.present is None:
            with self._lock:
                self._linked.append(_Linked(copy, links))

    @property
    def waiting(self) -> Sequence[Copy]:
        """Copies that were left unfinished for want of a run they link to."""
        return self._waiting

    def finish_waiting(self, others: Sequence[Copy]) -> None:
        """Finishes them, now that all runs are in; `others` are finished by another import."""
        left = {copy.target_id for copy in others}
        for copy in self._waiting:
            try:
                if not copy.error and not copy.is_whole and copy.target_id not in left:
                    self._set(copy, self._missing(copy))
                    self._writer.finish(copy)
            except ITEM_ERRORS as error:
                copy.fail(error)

    def relink(self) -> Iterator[Copy]:
        """Sets right what only the end shows; gives the copies for which that was refused.

        These are finished runs with a link to a run that was taken back for its twin after that, and runs left as
        they were, when a run they link to has come only now.
        """
        for linked in self._linked:
            stale = [(tag, self._moved[value]) for tag, value in linked.links if value in self._moved]
            if stale:
                try:
                    deleted = linked.copy.run.lifecycle_stage == DELETED
                    self._writer.relink(linked.copy.target_id, stale, deleted)
                except ITEM_ERRORS as error:
                    linked.copy.fail(error)
                    yield linked.copy
        for copy in self._left:
            try:
                links = self._missing(copy)
                if links:
                    self._set(copy, links)
                    self._writer.finish(copy)
            except ITEM_ERRORS as error:
                copy.fail(error)
                yield copy

    def _set(self, copy: Copy, links: Mapping[str, str]) -> None:
        for tag, value in links.items():
            self._writer.tag(copy, tag, value)

    def _missing(self, copy: Copy) -> dict[str, str]:
        """Links that the target has not yet, or has otherwise; notes a parent that is nowhere in it."""
        for tag in LINK_TAGS:
            if tag in copy.run.tags:
                self._find_outside(copy.run, tag)
        tags = self.tags(copy.run, copy.target_id)
        if PARENT in copy.run.tags and PARENT not in tags:
            self.orphans.append(copy.run.run_id)
        return {tag: tags[tag] for tag in LINK_TAGS if tag in tags and copy.tags_there.get(tag) != tags[tag]}

    def _find_outside(self, run: Run, tag: str) -> None:
        """Looks in the whole target for a run that this one links to and that is not in this import."""
        source_id = run.tags[tag]
        origin = run.tags.get(SOURCE + tag, source_id)
        if source_id in self._new_ids or source_id in self._outside or not origin.isalnum():
            return
        self._outside.add(source_id)
        for condition in (f"tags.`{ORIGIN}` = '{origin}'", f"attributes.run_id = '{origin}'"):
            for found in self._workspace.search_everywhere(condition):
                self._new_ids[source_id] = found.run_id
                return


@dataclass(frozen=True, slots=True)
class _Linked:
    """A finished run of this import and the links it was given."""

    copy: Copy
    links: frozenset[tuple[str, str]]
