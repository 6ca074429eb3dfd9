"""What a snapshot says as a whole: each run once, of its experiments, and as many as it counts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields

from runsync.bundle import layout
from runsync.bundle.manifest import Counts, Manifest
from runsync.bundle.stored import StoredRun, metrics_name

COUNTED = tuple(place.name for place in fields(Counts))


@dataclass(slots=True)
class Book:
    """A snapshot being checked. `experiments` is None where they cannot be read."""

    id: str
    manifest: Manifest
    experiments: set[str] | None = None
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Line:
    """What is kept in memory of one run document."""

    run_id: str
    experiment_id: str
    metrics: str
    first_row: int
    points: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, stored: StoredRun) -> "Line":
        """Of a document."""
        counts, metrics = stored.counts(), metrics_name(stored) if stored.metrics_part else ""
        told = tuple(getattr(counts, name) for name in COUNTED)
        run, points = stored.run, stored.contents.metric_points
        return cls(run.run_id, run.experiment_id, metrics, stored.first_row, points, told)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What is not so: the file that says it, and the runs that are hit."""

    file: str
    error: str
    runs: Sequence[str] = ()


def contradictions(book: Book, lines: Mapping[str, Sequence[Line]]) -> Iterator[Contradiction]:
    """What is not as a snapshot says, by the lines of the runs parts that can be read.

    Its counts are compared only where all of its parts and its experiments can be.
    """
    rows: list[tuple[int, ...]] = [astuple(book.counts)]
    seen: set[str] = set()
    for part in book.manifest.parts:
        superseded, metrics = set(part.superseded), {file.path for file in part.metrics}
        for number, line in enumerate(lines.get(part.runs.path, ()), 1):
            if number not in superseded:
                rows.append(line.counts)
                for error in _wrong_of(line, book, metrics, seen):
                    yield Contradiction(part.runs.path, error, [line.run_id])
                seen.add(line.run_id)
    if book.experiments is None or any(part.runs.path not in lines for part in book.manifest.parts):
        return
    found = dict(zip(COUNTED, map(sum, zip(*rows, strict=True)), strict=True))
    told = book.manifest.counts
    wrong = [f"{key} {n} instead of {getattr(told, key)}" for key, n in found.items() if n != getattr(told, key)]
    if wrong:
        yield Contradiction(layout.snapshot(book.id), f"its counts do not add up: {', '.join(wrong)}")


def _wrong_of(line: Line, book: Book, metrics: set[str], seen: set[str]) -> Iterator[str]:
    if line.run_id in seen:
        yield f"run {line.run_id} is twice in the snapshot"
    if book.experiments is not None and line.experiment_id not in book.experiments:
        yield f"run {line.run_id} is of experiment {line.experiment_id}, which is not there"
    if line.metrics and line.metrics not in metrics:
        yield f"run {line.run_id} names a metrics part that the manifest does not"
