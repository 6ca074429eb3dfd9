"""Points that were read to find the latest of each metric: the histories of those runs are mostly asked for next."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from threading import Lock

from runsync.workspaces.files.read_points import Columns, Piece

_MOST_POINTS = 1_000_000
"""Points that are kept in all: 24 MB."""


class Recent:
    """The points of the last batches of runs, as far as they are not too many."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, dict[str, list[Piece]]]] = deque()
        self._lock = Lock()

    def noting(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The same pieces, all of one batch of runs, which are kept when they were all taken."""
        kept: list[Piece] = []
        count = 0
        for piece in pieces:
            count += sum(piece.counts)
            if count <= _MOST_POINTS:
                kept.append(piece)
            else:
                kept.clear()
            yield piece
        if kept and count <= _MOST_POINTS:
            self._keep(kept, count)

    def of(self, run_id: str) -> Sequence[Piece] | None:
        """The points of a run; None where they are not kept."""
        with self._lock:
            for _, runs in self._batches:
                if run_id in runs:
                    return runs[run_id]
        return None

    def forget(self, run_ids: Collection[str]) -> None:
        """These runs change, or could not be read as a whole."""
        with self._lock:
            for _, runs in self._batches:
                for run_id in run_ids:
                    runs.pop(run_id, None)

    def _keep(self, pieces: Sequence[Piece], count: int) -> None:
        runs: dict[str, list[Piece]] = {}
        for piece in pieces:
            for run_id, part in _by_run(piece):
                runs.setdefault(run_id, []).append(part)
        with self._lock:
            self._batches.append((count, runs))
            while sum(points for points, _ in self._batches) > _MOST_POINTS:
                self._batches.popleft()


def _by_run(piece: Piece) -> Iterator[tuple[str, Piece]]:
    """The stretches of files that are of the same run."""
    first = row = 0
    for last, file in enumerate(piece.files, 1):
        if last < len(piece.files) and piece.files[last].run_id == file.run_id:
            continue
        counts = piece.counts[first:last]
        length = sum(counts)
        columns = Columns(*(column if column is None else column.slice(row, length) for column in piece.columns))
        yield file.run_id, Piece(piece.files[first:last], counts, columns)
        first, row = last, row + length
