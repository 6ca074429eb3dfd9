"""A run on its way into a target, and what is told of it in the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from runsync.errors import ITEM_ERRORS, may_pass
from runsync.model.identity import LINK_TAGS, RUN_NAME, is_ours, renamed
from runsync.model.lost_points import readable_points
from runsync.model.mark import GROWING, NOT_CARRIED, UNKNOWN, Mark
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome, Step
from runsync.model.place import Place
from runsync.model.provenance import Provenance
from runsync.model.run import Problem, Run

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Copy:
    """A run on its way into the target. `present` is what is there of it already (None: it is new)."""

    run: Run
    experiment_id: str
    target_id: str
    mark: Mark
    present: Run | None = None
    points: int = 0
    artifacts: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    """Pieces that did not arrive: the copy is not whole."""
    growing: list[str] = field(default_factory=list)
    """Paths of artifacts that had more bytes by the time they were read."""
    told: tuple[Problem, ...] = ()
    """What else is wrong with it; the copy may be whole all the same."""
    error: str = ""
    retry: bool = False
    """Whether another try may bring what did not arrive."""
    artifact_uri: str = ""
    tags_there: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    is_touched: bool = False
    """Whether anything was written to it."""
    models: frozenset[str] = frozenset()
    """Paths of MLmodel files that are written with the new id."""
    may_have_files: bool = False
    """Whether files may lie there although it is new: where they are written first, a killed import leaves some."""

    @property
    def is_left_over(self) -> bool:
        """Whether an interrupted import left it, so that a file of the right size there is the one it brought."""
        return self.was_copy and not self.there.complete

    @property
    def there(self) -> Provenance:
        """What the tags tell of the run that is there."""
        return Provenance.of(self.present.tags if self.present is not None else {})

    @property
    def was_copy(self) -> bool:
        """Whether an import made the run that is there."""
        return self.there.is_copy

    def has_same(self, part: Literal["points", "artifacts"]) -> bool:
        """Whether an earlier import brought these very points (or artifacts), so that they need no second look."""
        there = self.there.mark
        wanted = getattr(self.mark, part)
        return there is not None and getattr(there, part) == wanted and wanted not in (NOT_CARRIED, UNKNOWN, GROWING)

    def let_go(self) -> None:
        """Of what is filled and waits for others only that is kept which finishing takes: there may be a million."""
        self.run = outline(self.run)
        self.present = outline(self.present) if self.present is not None else None
        self.tags_there = _links(self.tags_there)

    def miss(self, kind: str, name: str, reason: object, retry: bool = False) -> None:
        """Notes a piece that does not arrive."""
        self.problems.append(Problem(kind, name, str(reason)))
        self.retry = self.retry or retry or may_pass(reason)

    def note(self, problem: Problem) -> None:
        """Notes a piece that does not arrive, once, however often it is met."""
        if problem not in self.problems:
            self.problems.append(problem)

    def fail(self, error: Exception) -> None:
        """Nothing can be said to be whole."""
        self.error = str(error)
        self.retry = may_pass(error)

    def outcome(self) -> Outcome:
        """What was done with it."""
        looked_only = not self.is_touched and not self.problems
        action = FAILED if self.error else CREATE if self.present is None else UNCHANGED if looked_only else UPDATE
        run = self.run
        return Outcome(
            "run",
            run.run_id,
            run.name,
            action,
            self.target_id,
            self.points,
            self.artifacts,
            self.bytes,
            (*self.told, *self.problems),
            self.error,
            self.retry,
        )


def outline(run: Run) -> Run:
    """The run without what is only needed to fill it."""
    return replace(run, params={}, tags=_links(run.tags), latest_metrics=(), dataset_inputs=())


def _links(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that name other runs, and ours."""
    return {key: value for key, value in tags.items() if key in LINK_TAGS or is_ours(key)}


def settled(run: Run, step: Step) -> Outcome:
    """What is told of a run with which nothing is to be done."""
    told = (run.run_id, run.name, step.action, step.target_id)
    return Outcome("run", *told, problems=step.problems, error=step.error, retry=step.retry)


def target_tags(run: Run, target_id: str, resolve: Callable[[str], str | None]) -> dict[str, str]:
    """The tags that a copy is to have, runsync's own apart; `resolve` gives other runs' ids in the target."""
    tags = renamed(run, target_id, resolve)
    if run.name:
        tags[RUN_NAME] = run.name
    return tags


def address_of(place: Place) -> str:
    """The address of the workspace that a source is, or that a bundle was made of."""
    return place.details.get("source", place.address)


def counted(copy: Copy, history: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """The history; once it is through, the copy's mark tells how many points it has. Those that cannot be read are
    noted on the copy."""
    count = 0
    for points in readable_points(history, copy.note):
        count += len(points)
        yield points
    copy.mark = replace(copy.mark, points=str(count))


def each(pool: Executor, act: Callable[[Copy], None], copies: Sequence[Copy]) -> None:
    """Does something with each copy, side by side; see `guarded`."""
    for future in [pool.submit(guarded(act), copy) for copy in copies]:
        future.result()


def guarded(act: Callable[[Copy], None]) -> Callable[[Copy], None]:
    """The act; what one item refuses is noted on the copy, and it is left alone after."""

    def safe(copy: Copy) -> None:
        if copy.error:
            return
        try:
            act(copy)
        except ITEM_ERRORS as error:
            copy.fail(error)

    return safe
