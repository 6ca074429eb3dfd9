"""Entities that are plain Python data: sources of single kinds."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Generic

from runsync.contract.entities import EntitySource, WithoutFiles
from runsync.errors import RequestRefused
from runsync.kinds.evaluation_datasets import EvaluationDataset
from runsync.kinds.kind import E, Key, Kind
from runsync.kinds.notebooks import NOTEBOOKS, Notebook, formats_of, wanted
from runsync.kinds.permissions import Permissions
from runsync.kinds.scope import Scope
from runsync.kinds.traces import Trace
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile


@dataclass
class MemoryNotebooks(WithoutFiles, EntitySource[Notebook]):
    """`texts` holds what they say by path, revision ("": the last one) and format. A text that is an error is refused
    with it. `asked` tells what was read."""

    texts: dict[tuple[str, str, str], bytes | RequestRefused] = field(default_factory=dict)
    modified_at: int | None = 1_700_000_000_000
    asked: list[str] = field(default_factory=list)

    def list(self, scope: Scope) -> Iterator[Notebook]:
        """Those that runs name."""
        yield from wanted(scope)

    def complete(self, item: Notebook) -> Notebook:
        """With its language, and whether it is the last revision."""
        is_there = (item.path, item.revision, item.format) in self.texts
        is_last = not item.revision or not is_there
        return replace(item, language="PYTHON", is_last=is_last, modified_at=self.modified_at if is_last else None)

    def read(self, item: Notebook) -> tuple[Notebook, Iterator[bytes]]:
        """Its text, or that of the last revision."""
        self.asked.append(item.name)
        last = self.texts.get((item.path, "", item.format))
        text = self.texts.get((item.path, item.revision, item.format), last)
        if text is None:
            raise RequestRefused(f"Path ({item.path}) doesn't exist.", 404, "RESOURCE_DOES_NOT_EXIST")
        if isinstance(text, RequestRefused):
            raise text
        return item, iter((text,))

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """All, where they are not asked for."""
        missed = scope.mentioned(NOTEBOOKS) if not formats_of(scope) else []
        return [NOTEBOOKS.left(len(missed), "they were not asked for")] if missed else []


@dataclass
class MemoryPermissions(WithoutFiles, EntitySource[Permissions]):
    """By experiment id. Permissions that are an error are refused with it."""

    permissions: dict[str, Permissions | RequestRefused] = field(default_factory=dict)

    def list(self, scope: Scope) -> Iterator[Permissions]:
        """One for each experiment."""
        yield from (Permissions(e.experiment_id, e.name) for e in scope.experiments)

    def complete(self, item: Permissions) -> Permissions:
        """With its grants."""
        found = self.permissions.get(item.experiment_id, item)
        if isinstance(found, RequestRefused):
            raise found
        return found


@dataclass
class MemoryModels(EntitySource[E], Generic[E]):
    """Entities of one kind; `contents` are their files, by what an entity is known by and by path ("": the bytes of one
    without files). One whose content is None is listed, and cannot be read. `asked` tells which files were read."""

    kind: Kind[E]
    items: list[E]
    contents: Mapping[Key, Mapping[str, bytes | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_exact: bool = True
    unreadable: frozenset[str] = frozenset()
    """Paths of files that are listed, and cannot be read."""

    @property
    def paths(self) -> Set[str]:
        """Of all files."""
        return {path for files in self.contents.values() for path in files if path}

    def list(self, scope: Scope) -> Iterator[E]:
        """Those that are meant."""
        yield from (meant for item in self.items if (meant := self.kind.meant(item, scope)) is not None)

    def complete(self, item: E) -> E:
        """With its files."""
        if not self.kind.has_files:
            return item
        listed = (ArtifactFile(path, len(b or b"")) for path, b in sorted(self.contents.get(item.key, {}).items()))
        return self.kind.with_files(item, tuple(listed), ())

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """Its bytes, in one piece."""
        return item, iter((self.contents[item.key][""] or b"",) if self.kind.has_bytes else ())

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """Its bytes, in one piece."""
        self.asked.append(f"{item.name}: {file.path}")
        content = self.contents[item.key][file.path]
        if content is None or file.path in self.unreadable:
            raise RequestRefused("it cannot be read")
        yield content


Names = list[str]


@dataclass
class MemoryTraces(MemoryModels[Trace]):
    """Whole traces, which are listed without their spans and attachments. Those in `refused` cannot be completed;
    `completed` tells which were read."""

    refused: dict[str, RequestRefused] = field(default_factory=dict)
    completed: Names = field(default_factory=list)

    def list(self, scope: Scope) -> Iterator[Trace]:
        """Those that are meant."""
        for item in super().list(scope):
            yield replace(item, spans=None, span_count=None, span_digest="", artifacts=None)

    def complete(self, item: Trace) -> Trace:
        """With its spans and attachments."""
        self.completed.append(item.trace_id)
        if error := self.refused.get(item.trace_id):
            raise error
        found = next(one for one in self.items if one.trace_id == item.trace_id)
        return super().complete(item.with_spans(found.spans or ()))


@dataclass
class MemoryDatasets(MemoryModels[EvaluationDataset]):
    """Whole evaluation datasets, which are listed without their records."""

    def list(self, scope: Scope) -> Iterator[EvaluationDataset]:
        """Those that are meant."""
        for item in super().list(scope):
            yield replace(item, records=None, record_count=None, record_digest="")

    def complete(self, item: EvaluationDataset) -> EvaluationDataset:
        """With its records."""
        return item.with_records(next(one for one in self.items if one.key == item.key).records or ())
