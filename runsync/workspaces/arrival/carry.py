"""Artifacts of many runs into a target, file by file side by side, and a look whether they are all there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial

from runsync import chains
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
Act = Callable[[Copy], None]


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

    def carry(self, copies: Sequence[Copy], contents: Mapping[str, Contents], beside: Act = lambda copy: None) -> None:
        """Uploads what is not there, compares the target's list with the source's, and completes the copies' marks.
        What else is to be done with each copy, `beside`, goes on meanwhile.

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
        files = self._bring(copies, todo, files, there, beside)
        for copy in todo:
            self._complete(copy, files)

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

    def _bring(self, copies: Sequence[Copy], todo: Sequence[Copy], files: Files, there: Sizes, beside: Act) -> Files:
        """Gives the files with the hashes that are known now."""
        for copy in todo:
            sizes = there.get(copy.target_id, {})
            wanted = [f for f in files.get(copy.target_id, ()) if not f.fault]
            self._writer.expect(copy, [f.path for f in wanted if sizes.get(f.path) != f.size])
        known, lacking = dict(files), list[_Lacking]()
        ids = {copy.target_id for copy in todo}

        def of(copy: Copy) -> chains.Chain:
            wanted = files.get(copy.target_id, ()) if copy.target_id in ids else ()
            uploads = [partial(self._upload, copy, file, there.get(copy.target_id, {})) for file in wanted]
            first, *tasks = yield [partial(beside, copy), *uploads]
            first.result()
            sent = self._sent(copy, wanted, tasks)
            if copy.target_id in files and copy.target_id in ids:
                known[copy.target_id] = sent.files
            if sent.is_any and not copy.error:
                (look,) = yield [partial(self._look, sent)]
                lacking.extend([(sent, faults)] if (faults := look.result()) else [])

        chains.run(self._pool, map(of, copies))
        self._look_again(lacking)
        return known

    def _sent(self, copy: Copy, wanted: Sequence[ArtifactFile], tasks: Sequence[Future[Uploaded]]) -> "_Sent":
        """What became of the files of a copy."""
        files, missed, is_any = [], set(), False
        for file, task in zip(wanted, tasks, strict=True):
            try:
                done = task.result()
            except ITEM_ERRORS as error:
                copy.miss("artifact", file.path, error)
                missed.add(file.path)
                done = Uploaded(replace(file, sha256=None))
            files.append(done.file)
            if done.is_growing:
                copy.growing.append(file.path)
                self._writer.growing.append(file.path)
            if done.size is not None:
                is_any = True
                copy.artifacts += 1
                copy.bytes += done.size
                self._progress.advance(bytes=done.size)
        return _Sent(copy, tuple(files), frozenset(missed), is_any)

    def _upload(self, copy: Copy, file: ArtifactFile, sizes: Mapping[str, int]) -> Uploaded:
        file.check()
        if copy.error:  # of what went beside it: it is not whole, whatever becomes of its files
            return Uploaded(file)
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

    def _look(self, sent: "_Sent", is_first: bool = True) -> Sequence[tuple[str, str]]:
        """The files of a copy that are not there as they were sent, each with what is wrong. The first look is at the
        folders that they went to; only what is in doubt takes a look at all."""
        try:
            sizes = self._writer.listed(sent.copy, sent.expected if is_first else None)
            return list(self._lacking(sent.copy, sent.expected, sizes))
        except ITEM_ERRORS as error:
            sent.copy.miss("artifact list", "", error)
            return ()

    def _lacking(
        self, copy: Copy, wanted: Sequence[ArtifactFile], sizes: Mapping[str, int]
    ) -> Iterator[tuple[str, str]]:
        for file in wanted:
            size = self._writer.expected_size(copy, file, self._source)
            if sizes.get(file.path) != size:
                there = many(sizes[file.path], "byte") if file.path in sizes else "nothing"
                yield file.path, f"after the upload the target lists {there} instead of {size} bytes"

    def _look_again(self, lacking: Sequence["_Lacking"]) -> None:
        """What differs is looked at again: another import may be writing the same files."""
        for pause in LOOKS_AGAIN if lacking else ():
            time.sleep(pause)
            looks = [(sent, self._pool.submit(self._look, sent, False)) for sent, _ in lacking]
            lacking = [(sent, faults) for sent, look in looks if (faults := look.result())]
        for sent, faults in lacking:
            for path, fault in faults:
                sent.copy.miss("artifact", path, fault, retry=True)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A copy whose files were brought, but for those missed."""

    copy: Copy
    files: tuple[ArtifactFile, ...]
    missed: frozenset[str]
    is_any: bool
    """Whether any was written."""

    @property
    def expected(self) -> list[ArtifactFile]:
        """Those that should be there now."""
        return [file for file in self.files if file.path not in self.missed]


_Lacking = tuple[_Sent, Sequence[tuple[str, str]]]


def _may_have_files(copy: Copy) -> bool:
    return copy.present is not None or copy.may_have_files
