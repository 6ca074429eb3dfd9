"""A model as a target is to get it: a snapshot that has one version, under the name and with the tags that it gets
there, and no alias."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Generic

from runsync.bundle.snapshot import Snapshot
from runsync.contract.entities import EntitySource, OneByOne
from runsync.kinds.kind import E, Kind
from runsync.kinds.model_versions import MODEL_VERSIONS, NEXT, NO_STAGE
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model import times
from runsync.model.experiment import Experiment
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.model.selection import Selection
from runsync.promotion.candidate import Candidate
from runsync.promotion.history import BY, without_promotions


class Offer(Snapshot):
    """See `Source`. `model` is the registered model, as it is in the target or is to be there; `number` that of a
    version there which is to be finished."""

    def __init__(self, candidate: Candidate, model: RegisteredModel, tags: dict[str, str], number: int = NEXT) -> None:
        snapshot = candidate.snapshot
        super().__init__(snapshot.bundle, snapshot.manifest)
        now = int(times.utc_now().timestamp() * 1000)
        self._of = candidate
        self._model = model
        self._version = replace(
            candidate.version,
            model=model.name,
            version=number,
            tags=without_promotions(candidate.version.tags) | tags,
            stage=NO_STAGE,
            user_id=tags.get(BY, ""),
            created_at=now,
            updated_at=now,
        )

    def experiments(self, selection: Selection) -> list[Experiment]:
        """Those of the runs and of the logged model."""
        found = super().experiments(selection) if selection.runs else []
        ids = {e.experiment_id for e in (*found, *self._of.evidence.experiments)}
        return [e for e in super().experiments(Selection()) if e.experiment_id in ids]

    def entities(self, kind: Kind[E]) -> EntitySource[E]:  # type: ignore[override]
        """Of registered models and versions the one; of others, what belongs to its runs."""
        of_snapshot = super().entities(kind)
        offered = {REGISTERED_MODELS.name: self._model, MODEL_VERSIONS.name: self._version}.get(kind.name)
        return of_snapshot if offered is None else _One(of_snapshot, offered)  # type: ignore[arg-type]

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """What belongs to the rest of the workspace is not meant."""
        return []


class _One(OneByOne, Generic[E]):
    """See `EntitySource`."""

    is_exact = True

    def __init__(self, below: EntitySource[E], item: E) -> None:
        self._below = below
        self._item = item

    def list(self, scope: Scope) -> Iterator[E]:
        """It, whatever is selected."""
        yield self._item

    def complete(self, item: E) -> E:
        """It is."""
        return item

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """See `EntitySource`."""
        return self._below.read(item)

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        return self._below.read_file(item, file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """Nothing."""
        return ()
