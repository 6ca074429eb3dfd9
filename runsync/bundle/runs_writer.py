"""Runs on their way into a bundle: their files, one metrics part, then the runs part that names it."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.draft import Draft
from runsync.bundle.files_writer import FilesWriter
from runsync.bundle.known import Known
from runsync.bundle.manifest import PartFile
from runsync.bundle.store import Incoming
from runsync.bundle.stored import StoredRun
from runsync.bundle.suspects import Reusable
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, may_pass
from runsync.model.identity import fingerprint
from runsync.model.lost_points import readable_points
from runsync.model.outcome import CREATE, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Batch, Contents, Problem, Run

if TYPE_CHECKING:
    from runsync.contract.source import Histories

COMMIT_BYTES = 256 << 20
"""A part is ended after that many bytes of artifacts: no more than that is fetched again after a kill."""

_Read = tuple[Run, Contents]


class RunsWriter:
    """Reads runs from a source and stores them. A version that turns out to be stored already is taken over."""

    def __init__(self, bundle: Bundle, stored: Reusable, known: Known, draft: Draft, files: FilesWriter) -> None:
        self._bundle = bundle
        self._store = bundle.store
        self._stored = stored
        self._known = known
        self._draft = draft
        self._files = files
        self._lock = threading.Lock()

    def write(
        self,
        runs: Sequence[Run],
        broken: Mapping[str, tuple[Problem, ...]],
        source: Source,
        pool: Executor,
        progress: Progress,
    ) -> list[Outcome]:
        """In one part or several. `broken` are pieces that the source cannot read, by run id."""
        if not runs:
            return []
        outcomes: list[Outcome] = []
        todo = source.complete(Batch(tuple(runs)), pool)
        futures = [pool.submit(self._files.fetch, run, source, pool, progress) for run in todo.runs]
        with source.histories(todo, pool) as histories:
            group: list[_Read] = []
            waiting_bytes = 0
            for run, future in zip(todo.runs, futures, strict=True):
                pieces = (*broken.get(run.run_id, ()), *todo.broken.get(run.run_id, ()))
                contents = self._files.contents(future.result(), pieces)
                group.append((run, contents))
                waiting_bytes += sum(file.size for file in contents.artifacts or ())
                if waiting_bytes >= COMMIT_BYTES:
                    outcomes += self._commit(group, histories, progress)
                    group, waiting_bytes = [], 0
            outcomes += self._commit(group, histories, progress)
        may_pass = self._files.may_pass
        return [replace(one, retry=True) if one.source_id in may_pass else one for one in outcomes]

    def _commit(self, group: Sequence[_Read], histories: "Histories", progress: Progress) -> list[Outcome]:
        if not group:
            return []
        outcomes: list[Outcome] = []
        incoming = self._store.incoming()
        try:
            with parts.MetricsWriter(incoming) as writer:
                rows = list(self._write_points(writer, group, histories, outcomes, progress))
                writer.close()
            stored = list(self._as_stored(rows, incoming.sha256(), outcomes))
            known = {s.run.run_id: self._known.equal(s) for s in stored}
            for s in stored:
                if version := known[s.run.run_id]:
                    self._draft.take_over(s.run.run_id, version)
                    outcomes.append(_outcome(s, UNCHANGED))
            stored = [s for s in stored if not known[s.run.run_id]]
            metrics = self._keep_metrics(incoming, writer.rows if any(s.metrics_part for s in stored) else 0)
        finally:
            incoming.discard()
        stored = self._keep_runs(stored, metrics, outcomes)
        progress.advance(runs=len(group))
        return outcomes + [_outcome(s, UPDATE if s.run.run_id in self._known.runs else CREATE) for s in stored]

    def _write_points(
        self,
        writer: parts.MetricsWriter,
        group: Sequence[_Read],
        histories: "Histories",
        outcomes: list[Outcome],
        progress: Progress,
    ) -> Iterator[tuple[Run, Contents, int]]:
        """The runs whose history is written, each with the number of its first row; the others are failed outcomes."""
        for run, contents in group:
            first = writer.rows
            lost: list[Problem] = []
            try:
                points = writer.add(run.run_id, readable_points(histories.of(run.run_id), lost.append))
            except ITEM_ERRORS as error:
                if may_pass(error):
                    self._files.may_pass.add(run.run_id)
                outcomes.append(self._draft.fail(run, str(error)))
                continue
            yield run, replace(contents, metric_points=points, problems=(*contents.problems, *lost)), first
            progress.advance(points=points)

    def _as_stored(
        self, rows: Sequence[tuple[Run, Contents, int]], metrics: str, outcomes: list[Outcome]
    ) -> Iterator[StoredRun]:
        for run, contents, first in rows:
            try:
                yield StoredRun(run, contents, fingerprint(run), metrics if contents.metric_points else "", first)
            except ITEM_ERRORS as error:
                outcomes.append(self._draft.fail(run, str(error)))

    def _keep_metrics(self, incoming: Incoming, rows: int) -> tuple[PartFile, ...]:
        if not rows:
            return ()
        path = layout.part(incoming.sha256(), layout.METRICS)
        self._stored.keep(incoming, path)
        return (PartFile(path, incoming.size, rows),)

    def _keep_runs(
        self, stored: list[StoredRun], metrics: tuple[PartFile, ...], outcomes: list[Outcome]
    ) -> list[StoredRun]:
        """Writes a runs part; gives the runs that are in it."""
        if not stored:
            return []
        if any(s.contents.growing for s in stored):
            with self._lock:
                self._bundle.require([layout.GROWING])
        try:
            documents = (s.to_document() for s in stored)
            path, size = parts.write_documents(self._store, "run", layout.RUNS, documents, self._known.broken)
        except BundleDamaged:
            fit = self._fit(stored, outcomes)
            if len(fit) == len(stored):
                raise
            return self._keep_runs(fit, metrics, outcomes)
        self._stored.arrived(path, size)
        self._draft.add(PartFile(path, size, len(stored)), metrics, stored)
        return stored

    def _fit(self, stored: Sequence[StoredRun], outcomes: list[Outcome]) -> list[StoredRun]:
        """The runs of which there can be a document; the others are among the outcomes, as failed."""
        fit = []
        for s in stored:
            try:
                parts.line_of("run", s.to_document(), "its document")
                fit.append(s)
            except BundleDamaged as error:
                outcomes.append(self._draft.fail(s.run, str(error)))
        return fit


def _outcome(stored: StoredRun, action: str) -> Outcome:
    run, problems = stored.run, stored.contents.problems
    if action == UNCHANGED:
        return Outcome("run", run.run_id, run.name, action, run.run_id, problems=problems)
    artifacts = stored.contents.artifacts or ()
    return Outcome(
        "run",
        run.run_id,
        run.name,
        action,
        run.run_id,
        points=stored.contents.metric_points,
        artifacts=len(artifacts),
        bytes=sum(file.size for file in artifacts),
        problems=problems,
    )
