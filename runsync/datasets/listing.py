"""list_datasets: the evaluation datasets of a workspace or bundle."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import Ambiguous, NothingSelected, WrongUsage
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS, EvaluationDataset
from runsync.kinds.scope import Scope
from runsync.model.nearest import nearest
from runsync.model.place import Place
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.threads import WORKERS
from runsync.transfer.places import open_source


@dataclass(frozen=True, slots=True)
class ListedDataset:
    """A dataset without its records; `records` is how many it has (None where that is not told), `experiments` are the
    names of those that it belongs to."""

    dataset: EvaluationDataset
    experiments: tuple[str, ...]

    @property
    def records(self) -> int | None:
        """A server tells it in the profile."""
        if self.dataset.record_count is not None:
            return self.dataset.record_count
        try:
            told = json.loads(self.dataset.profile or "{}")
        except ValueError:
            return None
        found = told.get("num_records", 0) if isinstance(told, dict) else None
        return found if isinstance(found, int) else None

    def to_document(self) -> dict[str, Any]:
        """An entry of the JSON report."""
        told = self.dataset.to_document()
        for name in ("record_count", "record_digest", "experiment_ids"):
            del told[name]
        return {**told, "records": self.records, "experiments": list(self.experiments)}


@dataclass(slots=True)
class DatasetsReport:
    """`schemas/v1/datasets-list-report.schema.json`, the datasets by name."""

    place: Place
    datasets: list[ListedDataset] = field(default_factory=list)
    requests: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-datasets-list-report",
            "version": 1,
            "place": asdict(self.place),
            "datasets": [listed.to_document() for listed in self.datasets],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def list_datasets(
    where: str, *, datasets: Sequence[str] = (), workers: int = WORKERS, access: Access | None = None
) -> DatasetsReport:
    """The evaluation datasets of these names or globs (default: all), by name.

    Raises NothingSelected for a name that matches none, WrongUsage for a place of which they are not read.
    """
    with open_source(where, "datasets list", access=access or Access(), workers=workers) as source:
        listed = listed_datasets(source)
        for text in datasets:
            if not any(fnmatchcase(each.dataset.name, text) for each in listed):
                raise NothingSelected(f"no evaluation dataset matches “{text}”")
        chosen = [
            each for each in listed if not datasets or any(fnmatchcase(each.dataset.name, text) for text in datasets)
        ]
        return DatasetsReport(source.place, chosen, source.requests)


def datasets_of(source: Source) -> EntitySource[EvaluationDataset]:
    """Raises WrongUsage where there are none that are read."""
    side = source.entities(EVALUATION_DATASETS)
    if side is None:
        raise WrongUsage(f"evaluation datasets are not read from {source.place.address} ({source.place.kind})")
    return side


def listed_datasets(source: Source) -> list[ListedDataset]:
    """All of them, by name. Raises WrongUsage."""
    experiments = source.experiments(Selection())
    names = {experiment.experiment_id: experiment.name for experiment in experiments}
    found = sorted(datasets_of(source).list(Scope(experiments)), key=lambda item: (item.name, item.dataset_id))
    return [ListedDataset(item, tuple(sorted(names.get(id, id) for id in item.experiment_ids))) for item in found]


def find_dataset(source: Source, text: str) -> ListedDataset:
    """The one of that id, or the only one of that name. Raises NothingSelected, Ambiguous, WrongUsage."""
    listed = listed_datasets(source)
    for each in listed:
        if each.dataset.dataset_id == text:
            return each
    same = [each for each in listed if each.dataset.name == text]
    if len(same) > 1:
        lines = [f"{each.dataset.dataset_id}  {', '.join(each.experiments)}".rstrip() for each in same]
        raise Ambiguous(f"{many(len(same), 'evaluation dataset')} are called “{text}”: name one by its id", lines)
    if not same:
        near = nearest(text, [each.dataset.name for each in listed])
        hint = f": did you mean “{near}”?" if near else ": runsync datasets list shows which there are"
        raise NothingSelected(f"there is no evaluation dataset “{text}”{hint}")
    return same[0]
