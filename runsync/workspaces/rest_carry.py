"""Artifacts of many runs into a target server, file by file side by side, and a look whether they are all there."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future

from runsync.errors import ITEM_ERRORS
from runsync.model.progress import Progress
from runsync.model.protocol import Source
from runsync.model.run import ArtifactFile, Contents
from runsync.workspaces.rest_runs import Copy, RunWriter


class ArtifactCarrier:
    """Carries from one source. A file that does not arrive is noted on its copy; the rest goes on."""

    def __init__(
        self, writer: RunWriter, source: Source, pool: Executor, progress: Progress, verify_bytes: bool
    ) -> None:
        self._writer = writer
        self._source = source
        self._pool = pool
        self._progress = progress
        self._verify_bytes = verify_bytes

    def carry(self, copies: Sequence[Copy], contents: Mapping[str, Contents]) -> None:
        """Uploads what is not there in the right size, then compares the target's list with the source's."""
        todo = [copy for copy in copies if not copy.has_same("artifacts") or self._verify_bytes]
        wanted = {copy.target_id: self._files(copy, contents) for copy in todo}
        todo = [copy for copy in todo if wanted[copy.target_id]]
        there = self._listed([copy for copy in todo if copy.present is not None])
        uploads: list[tuple[Copy, ArtifactFile, Future[int]]] = []
        for copy in todo:
            for file in wanted[copy.target_id]:
                if self._is_there(copy, file, there.get(copy.target_id, {})):
                    continue
                task = self._pool.submit(self._writer.upload, copy, file, self._source, self._verify_bytes)
                uploads.append((copy, file, task))
        missed = self._collect(uploads)
        sent = {copy.target_id for copy, _, _ in uploads}
        changed = {copy.target_id: copy for copy in todo if copy.target_id in sent}
        for target_id, sizes in self._listed(list(changed.values())).items():
            self._compare(changed[target_id], wanted[target_id], sizes, missed)

    def _files(self, copy: Copy, contents: Mapping[str, Contents]) -> tuple[ArtifactFile, ...]:
        told = contents.get(copy.run.run_id)
        if told is not None:
            return told.artifacts or ()
        try:
            return self._source.artifacts(copy.run)
        except ITEM_ERRORS as error:
            copy.miss("artifact list", "", error)
            return ()

    def _is_there(self, copy: Copy, file: ArtifactFile, sizes: Mapping[str, int]) -> bool:
        """An interrupted import left it. (After a finished one, what changed may have kept its size.)"""
        left = copy.present is not None and not copy.is_marked and not self._verify_bytes
        return left and sizes.get(file.path) == self._writer.expected_size(copy, file, self._source)

    def _listed(self, copies: Sequence[Copy]) -> dict[str, dict[str, int]]:
        futures = [(copy, self._pool.submit(self._writer.listed, copy)) for copy in copies]
        found = {}
        for copy, future in futures:
            try:
                found[copy.target_id] = future.result()
            except ITEM_ERRORS as error:
                copy.miss("artifact list", "", error)
        return found

    def _collect(self, uploads: Sequence[tuple[Copy, ArtifactFile, Future[int]]]) -> set[tuple[str, str]]:
        missed = set()
        for copy, file, future in uploads:
            try:
                size = future.result()
            except ITEM_ERRORS as error:
                copy.miss("artifact", file.path, error)
                missed.add((copy.target_id, file.path))
                continue
            copy.artifacts += 1
            copy.bytes += size
            self._progress.advance(bytes=size)
        return missed

    def _compare(
        self,
        copy: Copy,
        wanted: Sequence[ArtifactFile],
        sizes: Mapping[str, int],
        missed: set[tuple[str, str]],
    ) -> None:
        for file in wanted:
            size = self._writer.expected_size(copy, file, self._source)
            if (copy.target_id, file.path) not in missed and sizes.get(file.path) != size:
                there = f"{sizes[file.path]} bytes" if file.path in sizes else "nothing"
                copy.miss(
                    "artifact",
                    file.path,
                    f"after the upload the target lists {there} instead of {size} bytes",
                )
