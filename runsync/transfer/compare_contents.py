"""The metric points and the files of one run, held against those of its copy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runsync.contract.source import Histories, Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, may_pass
from runsync.kinds.category import Category
from runsync.kinds.left_behind import MISSING_ITEMS, MISSING_PIECES
from runsync.model.comparison import IN_SOURCE, IN_TARGET, Difference
from runsync.model.hashing import sha256_of
from runsync.model.identity import origin_of
from runsync.model.lost_points import readable_points
from runsync.model.paths import folders_above
from runsync.model.run import ArtifactFile, Batch, Problem, Run
from runsync.model.wording import many

Told = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """How many points or files of a run were compared, and what of them differs or cannot be read.

    `only_there` are files that the target has where the source has none. `are_unknown`: the export left them out.
    """

    count: int = 0
    differences: Sequence[Difference] = ()
    only_there: int = 0
    are_unknown: bool = False


def compare_points(run: Run, other: Run, history: Histories, other_history: Histories) -> Compared:
    """The whole metric history of a run; more points in the target are no fault."""
    from runsync.model import points

    lost: list[Problem] = []
    told = ("run", run.run_id, run.name)
    try:
        one = points.as_table(readable_points(history.of(run.run_id), lost.append))
    except ITEM_ERRORS as error:
        return Compared(0, [_unread_in_source((*told, "metrics"), error, MISSING_ITEMS)])
    differences = [
        Difference.unreadable((*told, f"metrics.{problem.name}"), IN_SOURCE, problem.reason, MISSING_PIECES.name)
        for problem in lost
    ]
    try:
        two = points.as_table(other_history.of(other.run_id))
    except ITEM_ERRORS as error:
        return Compared(0, [*differences, Difference.unreadable((*told, "metrics"), IN_TARGET, error)])
    if not points.same(one, two):
        missing = points.counted_by_key(points.missing(points.distinct(one), points.distinct(two)))
        differences += (Difference(*told, f"metrics.{key}", many(count, "point"), "missing") for key, count in missing)
    return Compared(len(one), differences)


class FileComparison:
    """The files of runs, by path and size, or by their bytes. Methods may be called from several threads."""

    def __init__(self, source: Source, target: Source, by_hash: bool) -> None:
        self._source = source
        self._target = target
        self._by_hash = by_hash

    def compare(self, run: Run, other: Run, batch: Batch, there: Batch) -> Compared:
        """Those of a run and of its copy; `batch` and `there` are what the two came with."""
        told = ("run", run.run_id, run.name, "artifacts")
        try:
            files = _files(self._source, run, batch)
        except ITEM_ERRORS as error:
            return Compared(differences=[_unread_in_source(told, error, MISSING_PIECES)])
        if files is None:
            return Compared(are_unknown=True)
        try:
            found = {file.path: file for file in _files(self._target, other, there) or () if not file.fault}
        except ITEM_ERRORS as error:
            return Compared(differences=[Difference.unreadable(told, IN_TARGET, error)])
        folders = folders_above(file.path for file in files)
        wanted = [file for file in files if file.size or file.path not in folders or file.path in found]
        differences = [d for file in wanted for d in self._differences(run, other, file, found.get(file.path))]
        count = len(files) - sum(bool(each.unread) for each in differences)
        return Compared(count, differences, only_there=0 if files else len(found))

    def _differences(
        self, run: Run, other: Run, file: ArtifactFile, found: ArtifactFile | None
    ) -> Iterator[Difference]:
        told = ("run", run.run_id, run.name, f"artifacts.{file.path}")
        if file.fault:
            yield Difference.unreadable(told, IN_SOURCE, file.fault, MISSING_PIECES.name)
        elif found is None:
            yield Difference(*told, many(file.size, "byte"), "missing")
        elif found.size != file.size and len(run.run_id) == len(other.run_id):
            yield Difference(*told, many(file.size, "byte"), many(found.size, "byte"))
        elif self._by_hash:
            yield from self._differences_in_bytes(told, run, other, file, found)

    def _differences_in_bytes(
        self, told: Told, run: Run, other: Run, file: ArtifactFile, found: ArtifactFile
    ) -> Iterator[Difference]:
        try:
            one = _hash(self._source, run, file)
        except ITEM_ERRORS as error:
            yield _unread_in_source(told, error, MISSING_PIECES)
            return
        try:
            two = _hash(self._target, other, found)
        except ITEM_ERRORS as error:
            yield Difference.unreadable(told, IN_TARGET, error)
            return
        if one != two:
            yield Difference(*told, f"sha256 {one}", f"sha256 {two}")


def _files(side: Source, run: Run, batch: Batch) -> tuple[ArtifactFile, ...] | None:
    told = batch.contents.get(run.run_id)
    return side.artifacts(run) if told is None else told.artifacts


def _hash(side: Source, run: Run, file: ArtifactFile) -> str:
    """Of the bytes, with the run's id in an MLmodel file read as its origin id."""
    chunks = side.read_artifact(run, file)
    if file.path.rsplit("/", 1)[-1] == "MLmodel":
        chunks = iter([b"".join(chunks).replace(run.run_id.encode(), origin_of(run).encode())])
    return sha256_of(chunks)


def _unread_in_source(told: Told, error: Exception, kind: Category) -> Difference:
    """What another try, or a repair of the bundle, may bring is never accepted."""
    is_for_good = not may_pass(error) and not isinstance(error, BundleDamaged)
    return Difference.unreadable(told, IN_SOURCE, error, kind.name if is_for_good else "")
