"""Metric history over REST, many runs a request where the server has an endpoint for that.

`get-history-bulk` gives one key of up to 100 runs, and cuts at 25,000 rows without saying so. So requests are sized
by the latest step (a run seldom has more points than steps), a cut is noticed by its row count and read again in
halves, and what is long by itself is streamed page by page with `get-history`, whose pages end with a token.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from runsync.errors import AnswerTooLong, RequestRefused, TooMuch
from runsync.model.run import Batch, LatestMetric, Run
from runsync.workspaces.http import Care, Client, Portion
from runsync.workspaces.http.care import FAILING
from runsync.workspaces.http.fields import LEAST, MOST, ODD, OddAnswer, listed, pages
from runsync.workspaces.http.portion import short
from runsync.workspaces.rest.server import AJAX, API

if TYPE_CHECKING:
    import pyarrow as pa

BULK_RUNS = 100
BULK_ROWS = 25_000
HISTORY_PAGE = 50_000
"""Points of one get-history page, which the server does not cap. Longer pages cost memory and gain little.

Always sent: without it MLflow 3.1 to 3.13 give an empty page.
"""
UNANSWERED = 3
"""Requests of one run each that the bulk endpoint did not answer, after which it is not asked any more."""
IN_MEMORY = 2_000_000
"""Points of one batch that may be held; what comes on top is read again when it is asked for."""


class MetricReader:
    """Reads histories from one server; remembers when that has no bulk endpoint. `page` is its greatest page."""

    def __init__(self, client: Client, page: int = HISTORY_PAGE, has_bulk: bool = True) -> None:
        self._client = client
        self._points = Portion(page, "metric point")
        self._runs = Portion(BULK_RUNS, "run", "metric histories of {} a request")
        self._bulk = has_bulk
        self._unanswered = 0
        self._is_answered = False
        """Whether the bulk endpoint ever was of use."""
        self._failure = ""
        """What it failed with, asked for one run."""

    @property
    def notes(self) -> list[str]:
        """That less was asked for than usual."""
        of_runs = self._runs.notes
        if self._failure and not self._is_answered:
            of_runs = [
                f"metric histories one key of one run a request: the server did not manage more ({self._failure})"
            ]
        return [*of_runs, *self._points.notes]

    @contextmanager
    def open(self, batch: Batch, pool: Executor) -> Iterator["RestHistories"]:
        """The histories of a batch: short ones are read now, side by side; long ones when they are asked for."""
        yield RestHistories(self, batch, self._gather(batch, pool))

    def pages(self, run_id: str, key: str) -> Iterator["pa.RecordBatch"]:
        """One key of one run, page by page."""
        from runsync.model.points import points_of_key

        def ask(token: str) -> dict[str, Any]:
            asked = {"run_id": run_id, "metric_key": key} | ({"page_token": token} if token else {})
            return self._points.ask(
                lambda size, care: self._client.get(f"{API}/metrics/get-history", care=care, max_results=size, **asked)
            )

        for rows in pages(ask, "metrics", are_long=True):
            if rows:
                yield points_of_key(key, *_columns(key, rows))

    def _gather(self, batch: Batch, pool: Executor) -> "dict[tuple[str, str], pa.RecordBatch]":
        if not self._bulk:
            return self._gather_singly(batch, pool)
        found: dict[tuple[str, str], pa.RecordBatch] = {}
        held = 0
        waiting: set[Future[_Answer]] = {pool.submit(self._ask, request) for request in _requests(batch.runs)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                answer = future.result()
                waiting |= {pool.submit(self._ask, request) for request in answer.again if held < IN_MEMORY}
                held += answer.rows
                if held <= IN_MEMORY:
                    found.update(answer.found)
        return found

    def _gather_singly(self, batch: Batch, pool: Executor) -> "dict[tuple[str, str], pa.RecordBatch]":
        """Of a server without the bulk endpoint: what fits on a page each, side by side."""
        held, waiting = 0, []
        for run in batch.runs:
            for metric in run.latest_metrics:
                points = _likely_points(metric)
                if points < self._points.size and held + points <= IN_MEMORY:
                    held += points
                    waiting.append((run.run_id, metric.key, pool.submit(self._first_pages, run.run_id, metric.key)))
        answers = ((run_id, key, future.result()) for run_id, key, future in waiting)
        return {(run_id, key): points for run_id, key, points in answers if points is not None}

    def _first_pages(self, run_id: str, key: str) -> "pa.RecordBatch | None":
        """One key of one run; None when it is more than a page, which is then streamed."""
        try:
            pages = list(islice(self.pages(run_id, key), 2))
        except (OddAnswer, AnswerTooLong):
            return None  # it fails again, and its run alone, when it is asked for
        return pages[0] if len(pages) == 1 else None

    def _ask(self, request: "_Request") -> "_Answer":
        """What comes of a request. Each run that it does not bring is then asked for by itself, and fails by itself."""
        count = len(request.runs)
        if not self._bulk:
            return _NOTHING
        if count > self._runs.size:
            return request.cut(self._runs.size)
        asked = {"run_id": request.runs, "metric_key": request.key, "max_results": BULK_ROWS}
        care = Care(is_optional=True, is_divisible=count > 1)
        try:
            rows = listed(self._client.get(f"{AJAX}/metrics/get-history-bulk", care=care, **asked), "metrics")
            found = _by_run(request, rows) if len(rows) < BULK_ROWS else {}
        except (OddAnswer, AnswerTooLong):
            return _NOTHING
        except TooMuch as error:
            if error.status == HTTPStatus.BAD_REQUEST:  # of its rows, which are those of one run, too
                self._refused(error)
                return _NOTHING
            self._runs.failed(count, error)
            return request.cut(self._runs.size)
        except RequestRefused as error:
            self._refused(error)
            return _NOTHING
        self._unanswered = 0
        self._is_answered = True
        self._runs.worked(count)
        if len(rows) >= BULK_ROWS:
            return request.cut(-(-count // 2)) if count > 1 else _NOTHING
        return _Answer(found, len(rows), ())

    def _refused(self, error: RequestRefused) -> None:
        """The endpoint is shut to us, or is not there; where it only fails, another request may be answered."""
        self._unanswered += 1
        is_shut = bool(error.status) and error.status not in FAILING
        if is_shut or self._unanswered >= UNANSWERED:
            self._bulk = False
        if not is_shut:
            self._failure = short(error)


class RestHistories:
    """`Histories` of one batch, partly in memory."""

    def __init__(self, reader: MetricReader, batch: Batch, held: "Mapping[tuple[str, str], pa.RecordBatch]") -> None:
        self._reader = reader
        self._keys = {run.run_id: sorted(metric.key for metric in run.latest_metrics) for run in batch.runs}
        self._held = held

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run, key by key."""
        for key in self._keys[run_id]:
            held = self._held.get((run_id, key))
            rows = 0
            for points in [held] if held else self._reader.pages(run_id, key):
                rows += len(points)
                yield points
            if not rows:
                # MLflow answers an empty page, not an error, for a run that is no longer there.
                raise RequestRefused(f"metric “{key}” has a latest value and no history: was the run purged meanwhile?")


class _Request:
    __slots__ = ("key", "runs")

    def __init__(self, key: str, runs: Sequence[str]) -> None:
        self.key = key
        self.runs = runs

    def cut(self, size: int) -> "_Answer":
        """That it is to be asked for in pieces of so many runs."""
        pieces = (self.runs[start : start + size] for start in range(0, len(self.runs), size))
        return _Answer({}, 0, tuple(_Request(self.key, piece) for piece in pieces))


class _Answer:
    __slots__ = ("again", "found", "rows")

    def __init__(self, found: "dict[tuple[str, str], pa.RecordBatch]", rows: int, again: tuple[_Request, ...]) -> None:
        self.found = found
        self.rows = rows
        self.again = again


_NOTHING = _Answer({}, 0, ())


def _requests(runs: Sequence[Run]) -> Iterator[_Request]:
    """One key and as many runs as the server will answer for in whole."""
    by_key: dict[str, list[tuple[str, int]]] = {}
    for run in runs:
        for metric in run.latest_metrics:
            by_key.setdefault(metric.key, []).append((run.run_id, _likely_points(metric)))
    for key, members in by_key.items():
        chunk: list[str] = []
        rows = 0
        for run_id, points in members:
            if points >= BULK_ROWS:
                continue  # streamed
            if chunk and (len(chunk) == BULK_RUNS or rows + points >= BULK_ROWS):
                yield _Request(key, chunk)
                chunk, rows = [], 0
            chunk.append(run_id)
            rows += points
        if chunk:
            yield _Request(key, chunk)


def _likely_points(metric: LatestMetric) -> int:
    return max(1, metric.step + 1)


def _by_run(request: _Request, rows: list[dict[str, Any]]) -> "dict[tuple[str, str], pa.RecordBatch]":
    """The rows of a bulk answer cut by run."""
    from runsync.model.points import points_of_key

    of_run: dict[str, list[dict[str, Any]]] = {run_id: [] for run_id in request.runs}
    try:
        for row in rows:
            of_run[row["run_id"]].append(row)
    except (KeyError, TypeError):
        raise OddAnswer("run_id", "is not a run that was asked for") from None
    return {
        (run_id, request.key): points_of_key(request.key, *_columns(request.key, part))
        for run_id, part in of_run.items()
        if part
    }


def _columns(key: str, rows: list[dict[str, Any]]) -> tuple[list[int], list[int], list[float]]:
    try:
        columns = (
            [int(row.get("step") or 0) for row in rows],
            [int(row.get("timestamp") or 0) for row in rows],
            [float(row.get("value", 0.0)) for row in rows],
        )
    except ODD:
        raise OddAnswer(f"metrics.{key}"[:60], "has an invalid point") from None
    for whole in columns[:2]:
        if min(whole) < LEAST or max(whole) > MOST:
            raise OddAnswer(f"metrics.{key}"[:60], "has a number that is out of range")
    return columns
