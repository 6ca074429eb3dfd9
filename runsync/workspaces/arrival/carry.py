"""Artifacts of many runs into a target, file by file side by side, and a look whether they are all there."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS
from runsync.model.hashing import sha256_of
from runsync.model.mark import GROWING, UNKNOWN, digest
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Contents
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.arrival.files import LOOKS_AGAIN, FileWriter, Uploaded

Files = Mapping[str, tuple[ArtifactFile, ...]]
"""The source's files by the target's run id."""
Sizes = Mapping[str, Mapping[str, int]]
"""The target's files, by its run id: bytes by path."""


class ArtifactCarrier:
    """Carries from one source. A file that does not arrive is noted on its copy; the rest goes on."""

    def __init__(
        self, writer: FileWriter, source: Source, pool: Executor, progress: Progress, verify_bytes: bool
    ) -> None:
        self._writer = writer
        self._source = source
        self._pool = pool
        self._progress = progress
        self._verify_bytes = verify_bytes

    def carry(self, copies: Sequence[Copy], contents: Mapping[str, Contents]) -> None:
        """Uploads what is not there, compares the target's list with the source's, and completes the copies' marks.

        Of a copy that was whole before, and of a run that was at home there, files of the same size are compared by
        their bytes; where the hashes at the source are those the mark tells of, nothing of it is looked at further.
        """
        todo = [copy for copy in copies if not copy.has_same("artifacts") or self._verify_bytes]
        files = self._wanted(todo, contents)
        there = self._listed([copy for copy in todo if _may_have_files(copy) and files.get(copy.target_id)])
        files = self._with_hashes(todo, files, there)
        for copy in todo:
            self._complete(copy, files)
        todo = [copy for copy in todo if not copy.has_same("artifacts") or self._verify_bytes]
        files, sent, missed = self._bring(todo, files, there)
        for copy in todo:
            self._complete(copy, files)
        self._compare([copy for copy in todo if copy.target_id in sent], files, missed)

    def _wanted(self, copies: Sequence[Copy], contents: Mapping[str, Contents]) -> Files:
        futures = [(copy, self._pool.submit(self._files, copy, contents)) for copy in copies]
        found = {copy.target_id: future.result() for copy, future in futures}
        by_id = {copy.target_id: copy for copy in copies}
        return {id: self._writer.arrange(by_id[id], files) for id, files in found.items() if files is not None}

    def _files(self, copy: Copy, contents: Mapping[str, Contents]) -> tuple[ArtifactFile, ...] | None:
        told = contents.get(copy.run.run_id)
        if told is not None:
            return told.artifacts or ()
        try:
            return self._source.artifacts(copy.run)
        except ITEM_ERRORS as error:
            copy.miss("artifact list", "", error)
            return None

    def _with_hashes(self, copies: Sequence[Copy], files: Files, there: Sizes) -> Files:
        """The files with the hashes of those that may be in the target as they are."""
        futures = [
            (copy, [self._pool.submit(self._with_hash, copy, file, there) for file in files.get(copy.target_id, ())])
            for copy in copies
        ]
        known = {copy.target_id: tuple(future.result() for future in hashing) for copy, hashing in futures}
        return {target_id: known[target_id] for target_id in files}

    def _with_hash(self, copy: Copy, file: ArtifactFile, there: Sizes) -> ArtifactFile:
        is_there = there.get(copy.target_id, {}).get(file.path) == file.size and not file.fault
        if file.sha256 is not None or not is_there or not self._is_to_compare(copy):
            return file
        try:
            return replace(file, sha256=sha256_of(self._source.read_artifact(copy.run, file)))
        except ITEM_ERRORS:
            return file  # the upload will be refused likewise, and tell of it

    def _is_to_compare(self, copy: Copy) -> bool:
        return self._verify_bytes or not copy.is_left_over

    def _complete(self, copy: Copy, files: Files) -> None:
        if copy.growing:
            copy.mark = replace(copy.mark, artifacts=GROWING)
        elif copy.mark.artifacts in (UNKNOWN, GROWING) and copy.target_id in files:
            copy.mark = replace(copy.mark, artifacts=digest(files[copy.target_id]))

    def _bring(
        self, copies: Sequence[Copy], files: Files, there: Sizes
    ) -> tuple[Files, set[str], set[tuple[str, str]]]:
        """Gives the files with the hashes that are known now, the ids of runs that got any, and what is missing."""
        for copy in copies:
            sizes = there.get(copy.target_id, {})
            wanted = [f for f in files.get(copy.target_id, ()) if not f.fault]
            self._writer.expect(copy, [f.path for f in wanted if sizes.get(f.path) != f.size])
        tasks = [
            (copy, file, self._pool.submit(self._upload, copy, file, there.get(copy.target_id, {})))
            for copy in copies
            for file in files.get(copy.target_id, ())
        ]
        known: dict[str, list[ArtifactFile]] = {copy.target_id: [] for copy in copies if copy.target_id in files}
        sent, missed = set(), set()
        for copy, file, task in tasks:
            try:
                done = task.result()
            except ITEM_ERRORS as error:
                copy.miss("artifact", file.path, error)
                missed.add((copy.target_id, file.path))
                done = Uploaded(replace(file, sha256=None))
            known[copy.target_id].append(done.file)
            if done.is_growing:
                copy.growing.append(file.path)
                self._writer.growing.append(file.path)
            if done.size is not None:
                sent.add(copy.target_id)
                copy.artifacts += 1
                copy.bytes += done.size
                self._progress.advance(bytes=done.size)
        return {target_id: tuple(of_run) for target_id, of_run in known.items()}, sent, missed

    def _upload(self, copy: Copy, file: ArtifactFile, sizes: Mapping[str, int]) -> Uploaded:
        file.check()
        if file.path in sizes and sizes[file.path] == self._writer.expected_size(copy, file, self._source):
            if not self._is_to_compare(copy):
                return Uploaded(file)
            if self._writer.has_bytes(copy, file, sizes[file.path], self._source):
                return Uploaded(file)
        return self._writer.upload(copy, file, self._source, self._verify_bytes)

    def _listed(self, copies: Sequence[Copy]) -> Sizes:
        futures = [(copy, self._pool.submit(self._writer.listed, copy)) for copy in copies]
        found = {}
        for copy, future in futures:
            try:
                found[copy.target_id] = future.result()
            except ITEM_ERRORS as error:
                copy.miss("artifact list", "", error)
        return found

    def _compare(self, copies: Sequence[Copy], files: Files, missed: set[tuple[str, str]]) -> None:
        """What differs is looked at again: another import may be writing the same files."""
        left = {copy.target_id: copy for copy in copies}
        for pause in (*LOOKS_AGAIN, None):
            lacking = {
                target_id: faults
                for target_id, sizes in self._listed(list(left.values())).items()
                if (faults := list(self._lacking(left[target_id], files[target_id], sizes, missed)))
            }
            if not lacking or pause is None:
                break
            left = {target_id: left[target_id] for target_id in lacking}
            time.sleep(pause)
        for target_id, faults in lacking.items():
            for path, fault in faults:
                left[target_id].miss("artifact", path, fault, retry=True)

    def _lacking(
        self, copy: Copy, wanted: Sequence[ArtifactFile], sizes: Mapping[str, int], missed: set[tuple[str, str]]
    ) -> Iterator[tuple[str, str]]:
        """Files that are not there as they were sent, each with what is wrong."""
        for file in wanted:
            size = self._writer.expected_size(copy, file, self._source)
            if (copy.target_id, file.path) not in missed and sizes.get(file.path) != size:
                there = many(sizes[file.path], "byte") if file.path in sizes else "nothing"
                yield file.path, f"after the upload the target lists {there} instead of {size} bytes"


def _may_have_files(copy: Copy) -> bool:
    return copy.present is not None or copy.may_have_files
