"""Second complete copies of a run, which killed imports left: taken back where nobody has changed either of the two.

An import looks at them before it writes. Two are one and the same when different imports made them from the same state
of the run (as their marks tell, files by their hashes), and when their fields, points and files (by path and size) are
still equal. The one of the smaller id stays. The other is taken back unless something hangs on it: a registered model
version, or a nested run, in whatever experiment, that is no copy. What is not taken back is named.
"""

from collections.abc import Iterator, Mapping

from runsync import threads
from runsync.errors import ITEM_ERRORS
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.identity import COMPLETE, COPY, LINK_TAGS, ORIGIN, SESSION, at_home, fingerprint
from runsync.model.mark import Mark
from runsync.model.not_carried import NAMED
from runsync.model.run import Batch, Run
from runsync.model.wording import many
from runsync.workspaces.arrival.present import Present
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.twins import copies_in
from runsync.workspaces.rest.workspace import RestWorkspace


class SecondCopies:
    """Those that one import meets."""

    def __init__(self, workspace: RestWorkspace, writer: RunWriter, present: Present) -> None:
        self._workspace = workspace
        self._writer = writer
        self._present = present
        self._gone: list[str] = []
        self._left: list[str] = []
        self._is_planned_only = False

    @property
    def notes(self) -> list[str]:
        """How many were taken back, and which were left."""
        told = []
        if self._gone:
            verb = "would take back" if self._is_planned_only else "took back"
            told.append(f"{verb} {many(len(self._gone), 'second copy')} that killed imports left")
        if self._left:
            which = f"{', '.join(self._left[:NAMED])}{', …' if len(self._left) > NAMED else ''}"
            told.append(f"{many(len(self._left), 'second copy')} left as found: {which}; delete those you do not need")
        return told

    @property
    def are_to_go(self) -> bool:
        """Whether any would be taken back."""
        return bool(self._gone)

    def foresee(self) -> None:
        """Finds out what `take_back` would do."""
        self._is_planned_only = True
        self._gone += [twin.run_id for _, twin in self._pairs()]

    def take_back(self) -> None:
        """Takes them back, and links the copies that are nested in them to those that stay."""
        places = set()
        for stays, twin in self._pairs():
            try:
                for child in self._nested_in(twin):
                    links = {tag: stays.run_id for tag in LINK_TAGS if child.tags.get(tag) == twin.run_id}
                    self._writer.relink(child.run_id, links, child.lifecycle_stage == DELETED)
                self._writer.discard(twin.run_id, stays.run_id)
            except ITEM_ERRORS as error:
                self._leave(stays, twin, str(error))
                continue
            self._gone.append(twin.run_id)
            places.add(twin.experiment_id)
        self._present.look(sorted(places))

    def _pairs(self) -> Iterator[tuple[Run, Run]]:
        """Each that is to be taken back, after the one that stays; notes the others."""
        wanted = self._present.twins
        search = self._workspace.search
        for places in search.chunks(sorted({place for place, _ in wanted})):
            found = copies_in(search, places)
            origins = {run.run_id: origin for (_, origin), runs in found.items() for run in runs}
            for runs in [runs for where, runs in found.items() if where in wanted]:
                complete = sorted(filter(_is_complete, runs), key=lambda run: run.run_id)
                for twin in complete[1:]:
                    if why := self._why_left(complete[0], twin, origins):
                        self._leave(complete[0], twin, why)
                    else:
                        yield complete[0], twin

    def _leave(self, stays: Run, twin: Run, why: str) -> None:
        self._left.append(f"{twin.run_id} beside {stays.run_id} ({why})")

    def _why_left(self, stays: Run, twin: Run, origins: Mapping[str, str]) -> str:
        """Why it is not certain that nothing is lost with the twin; "" where it is."""
        if COPY in stays.tags or COPY in twin.tags or stays.tags.get(SESSION) == twin.tags.get(SESSION):
            return "not both made by imports"
        one, other = (Mark.parse(run.tags[COMPLETE]) for run in (stays, twin))
        if one is None or one != other:
            return "made of different states of the run"
        if fingerprint(_at_home(stays, origins)) != fingerprint(_at_home(twin, origins)):
            return "their fields differ"
        try:
            return self._what_differs(stays, twin) or self._what_hangs_on(twin)
        except ITEM_ERRORS as error:
            return f"they cannot be compared: {error}"

    def _what_differs(self, stays: Run, twin: Run) -> str:
        """Of what a search does not tell."""
        from runsync.model.points import as_table, distinct, missing

        with threads.pool(2, "runsync-request") as pool:
            batch = self._workspace.complete(Batch((stays, twin)), pool)
            one, other = batch.runs
            if set(one.model_inputs) != set(other.model_inputs):
                return "their model inputs differ"
            with self._workspace.histories(batch, pool) as histories:
                points = [distinct(as_table(histories.of(run.run_id))) for run in batch.runs]
        if len(missing(*points)) or len(missing(*reversed(points))):
            return "their metrics differ"
        files = [{(file.path, file.size) for file in self._workspace.artifacts(run)} for run in (stays, twin)]
        return "their artifacts differ" if files[0] != files[1] else ""

    def _what_hangs_on(self, twin: Run) -> str:
        if self._workspace.model_versions(twin):
            return "a model version is registered from it"
        has_others = any(ORIGIN not in run.tags for run in self._nested_in(twin))
        return "runs that are no copies are nested in it" if has_others else ""

    def _nested_in(self, twin: Run) -> list[Run]:
        """The runs that link to it."""
        found = {}
        for tag in LINK_TAGS:
            for run in self._workspace.search_everywhere(f"tags.`{tag}` = '{twin.run_id}'"):
                found[run.run_id] = run
        found.pop(twin.run_id, None)
        return list(found.values())


def _is_complete(run: Run) -> bool:
    return COMPLETE in run.tags and run.lifecycle_stage == ACTIVE


def _at_home(run: Run, origins: Mapping[str, str]) -> Run:
    return at_home(run, lambda run_id: origins.get(run_id, run_id))
