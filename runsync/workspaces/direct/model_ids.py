"""What models name of other things, as the target of one transfer has it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from runsync.kinds.ids import Ids
from runsync.kinds.kind import EXPERIMENTS
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.model.selection import RUNS
from runsync.workspaces.direct.models import ModelPlace, ModelStore, RunPlace

INCOMPLETE = "not all of its files have arrived: run it again"


@dataclass(frozen=True, slots=True)
class Found:
    """Runs and logged models that are in the target, by their ids in the source."""

    experiment: Callable[[str], str | None]
    runs: Mapping[str, RunPlace] = field(default_factory=dict)
    models: Mapping[str, ModelPlace] = field(default_factory=dict)

    @property
    def resolve(self) -> Ids:
        """Of these, and of experiments."""
        runs = {id: place.run_id for id, place in self.runs.items()}
        models = {id: place.model_id for id, place in self.models.items()}
        return Ids({EXPERIMENTS: self.experiment, RUNS: runs.get, LOGGED_MODELS.name: models.get})


class ModelIds:
    """`experiment` gives the target's id of an experiment: "" before it is made, None where it is not carried; `run`
    the id that a run has, or is to have, there."""

    def __init__(
        self, store: ModelStore, experiment: Callable[[str], str | None], run: Callable[[str], str | None]
    ) -> None:
        self.unsound: dict[tuple[str, str], str] = {}
        """Why the files of logged models and versions (kind, id in the target) are not to be relied on."""
        self.others: dict[str, str] = {}
        """Ids of logged models that have other ones here."""
        self._store = store
        self._experiment = experiment
        self._run = run

    def find(
        self, run_ids: Collection[str], model_ids: Collection[str], origins: Mapping[str, str] | None = None
    ) -> Found:
        """Looks for them, a few statements for all. `origins` are the ids that models were born with: one that came
        back from a server is known by that."""
        ids = {id: known for id in run_ids if id and (known := self._run(id)) is not None}
        places = self._store.run_places(set(ids.values())) if ids else {}
        runs = {id: places[known] for id, known in ids.items() if known in places}
        asked = {id: self.others.get(id) or (origins or {}).get(id, id) for id in model_ids}
        there = self._store.model_places({*asked, *asked.values()}) if asked else {}
        models = {id: place for id, born in asked.items() if (place := there.get(id) or there.get(born))}
        self.others |= {id: place.model_id for id, place in models.items() if place.model_id != id}
        return Found(self._experiment, runs, models)
