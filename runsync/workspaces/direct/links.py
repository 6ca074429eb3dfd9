"""Links between runs (parents and roots) that arrive in a store: ids are kept, and so are most links."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from runsync.model.identity import LINK_TAGS, SOURCE
from runsync.model.run import Run
from runsync.workspaces.arrival.copy import target_tags
from runsync.workspaces.direct.present import DirectRuns
from runsync.workspaces.direct.store import Change, DirectStore


@dataclass(frozen=True, slots=True)
class _Open:
    """A link that was written as it is at the source, for nothing was known of the other end."""

    target_id: str
    tag: str
    linked: str
    origin: str
    written: str


class DirectLinks:
    """Knows under which ids the runs of one transfer are in the target."""

    def __init__(self, store: DirectStore, runs: DirectRuns) -> None:
        self.dropped: list[str] = []
        """Runs whose parent's id is another run's in the target."""
        self._store = store
        self._runs = runs
        self._ids: dict[str, str | None] = {}
        self._open: list[_Open] = []
        self._lock = Lock()

    def note(self, source_id: str, target_id: str | None) -> None:
        """A run of the source is that run of the target; None: it cannot be there."""
        with self._lock:
            self._ids[source_id] = target_id

    def id_of(self, source_id: str) -> str | None:
        """The id that a run of the source has, or would have, in the target; None where it cannot be there."""
        return self._ids.get(source_id, source_id)

    def wanted(self, run: Run) -> Iterator[str]:
        """Ids that have to be looked for in the target, to know what a run links to."""
        for tag, linked in _links(run):
            if linked not in self._ids:
                yield from {linked, _origin(run, tag)}

    def tags(self, run: Run, target_id: str, there: Mapping[str, str]) -> dict[str, str]:
        """The run's tags as they read in the target; `there` are those that it has."""
        found = {linked: self._found(run, tag, there) for tag, linked in _links(run)}
        return target_tags(run, target_id, found.get)

    def written(self, run: Run, target_id: str, tags: Mapping[str, str]) -> None:
        """The run is in the target with these tags; a link of which nothing is known yet is looked at in the end."""
        for tag, linked in _links(run):
            if self._is_known(run, tag):
                if self._ids.get(linked, linked) is None:
                    self.dropped.append(run.run_id)
            else:
                with self._lock:
                    self._open.append(_Open(target_id, tag, linked, _origin(run, tag), tags.get(tag, "")))

    def finish(self, looked_at: Sequence[str]) -> None:
        """Sets right the links to runs that came later and are in the target under another id, or not at all; also in
        the experiments that were not looked at."""
        changed, refused = self.foresee(looked_at)
        if changed or refused:
            self._store.refresh()
            there = [run.run_id for run in self._runs.everywhere({*changed, *refused})]
            self._store.change_runs([Change(id, tags=changed[id], untagged=refused[id]) for id in there])

    def foresee(self, looked_at: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
        """The links that are to be changed, and the tags of those that are to be taken away, by run id; notes those
        that are dropped."""
        unknown = [one for one in self._open if one.linked not in self._ids]
        if unknown:
            self._runs.look_elsewhere(looked_at)
        changed: dict[str, dict[str, str]] = defaultdict(dict)
        refused: dict[str, list[str]] = defaultdict(list)
        for one in self._open:
            id = self._ids[one.linked] if one.linked in self._ids else self._runs.copy_of(one.origin) or one.written
            if id is None:
                refused[one.target_id].append(one.tag)
                self.dropped.append(one.target_id)
            elif id != one.written:
                changed[one.target_id][one.tag] = id
        return changed, refused

    def _found(self, run: Run, tag: str, there: Mapping[str, str]) -> str | None:
        linked = run.tags[tag]
        if linked in self._ids:
            return self._ids[linked]
        known = self._runs.known(linked)
        if known is not None and known.origin == _origin(run, tag):
            return linked
        return self._runs.copy_of(_origin(run, tag)) or there.get(tag) or linked

    def _is_known(self, run: Run, tag: str) -> bool:
        linked = run.tags[tag]
        return linked in self._ids or self._runs.copy_of(_origin(run, tag)) is not None


def _links(run: Run) -> Iterator[tuple[str, str]]:
    return ((tag, run.tags[tag]) for tag in LINK_TAGS if tag in run.tags and run.tags[tag] != run.run_id)


def _origin(run: Run, tag: str) -> str:
    """The id with which the run linked to was born."""
    return run.tags.get(SOURCE + tag, run.tags[tag])
