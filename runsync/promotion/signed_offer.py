"""A model as a target is to get it, with a signature that the source has not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic

from runsync.contract.entities import EntitySource, OneByOne
from runsync.kinds.kind import E, Kind
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.hashing import sha256_of
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile, Batch, Run
from runsync.model.selection import RUNS, Selection
from runsync.model.stored_object import StoredObject
from runsync.promotion.candidate import Candidate
from runsync.promotion.digest import SIGNATURE
from runsync.promotion.offer import Offer


def offer_of(candidate: Candidate, model: RegisteredModel, tags: dict[str, str], number: int) -> Offer:
    """With the signature that the candidate was given, if it was."""
    made = SignedOffer if candidate.signature else Offer
    return made(candidate, model, tags, number)


class SignedOffer(Offer):
    """See `Source`. The signature lies where the files of the model lie: in a run, a logged model or a version."""

    def __init__(self, candidate: Candidate, model: RegisteredModel, tags: dict[str, str], number: int) -> None:
        super().__init__(candidate, model, tags, number)
        self._home = candidate.version.home
        path = f"{self._home.path}/{SIGNATURE}" if self._home.path else SIGNATURE
        content = candidate.signature
        self._added = _Added(ArtifactFile(path, len(content), sha256_of((content,))), content)

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """See `Source`."""
        return map(self._with_it, super().batches(experiments, selection))

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """See `Source`."""
        return self._with_it(super().batch(run_ids, experiments))

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """See `Source`."""
        return self._added.bytes_of(file) or super().read_artifact(run, file)

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """See `Source`."""
        return None if self._added.is_it(file) else super().locate_artifact(run, file)

    def entities(self, kind: Kind[E]) -> EntitySource[E]:  # type: ignore[override]
        """See `Source`."""
        below = super().entities(kind)
        holder = (self._home.kind, self._home.id) if self._home.kind else (MODEL_VERSIONS.name, "")
        return _WithIt(below, kind, holder[1], self._added) if kind.name == holder[0] else below

    def _with_it(self, batch: Batch) -> Batch:
        contents = batch.contents.get(self._home.id) if self._home.kind == RUNS else None
        if contents is None:
            return batch
        with_it = replace(contents, artifacts=(*(contents.artifacts or ()), self._added.file))
        return replace(batch, contents={**batch.contents, self._home.id: with_it})


@dataclass(frozen=True, slots=True)
class _Added:
    file: ArtifactFile
    content: bytes

    def is_it(self, file: ArtifactFile) -> bool:
        return (file.path, file.sha256) == (self.file.path, self.file.sha256)

    def bytes_of(self, file: ArtifactFile) -> Iterator[bytes] | None:
        return iter((self.content,)) if self.is_it(file) else None


@dataclass(frozen=True, slots=True)
class _WithIt(OneByOne, Generic[E]):
    """See `EntitySource`. The one with the key `holder` ("" for whichever) has one file more."""

    below: EntitySource[E]
    kind: Kind[E]
    holder: str
    added: _Added
    is_exact = True

    def list(self, scope: Scope) -> Iterator[E]:
        """See `EntitySource`."""
        for item in self.below.list(scope):
            is_holder = not self.holder or self.holder in item.key
            files = (*self.kind.files(item), self.added.file)
            yield self.kind.with_files(item, files, self.kind.problems(item)) if is_holder else item

    def complete(self, item: E) -> E:
        """They are."""
        return item

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """See `EntitySource`."""
        return self.below.read(item)

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        return self.added.bytes_of(file) or self.below.read_file(item, file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        return self.below.left_behind(scope)
