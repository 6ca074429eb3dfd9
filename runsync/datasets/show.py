"""show_dataset: an evaluation dataset with its records."""

from dataclasses import asdict, dataclass
from typing import Any

from runsync.bundle.address import Access
from runsync.datasets.listing import ListedDataset, datasets_of, find_dataset
from runsync.kinds.evaluation_datasets import DatasetRecord
from runsync.model.place import Place
from runsync.threads import WORKERS
from runsync.transfer.places import open_source


@dataclass(slots=True)
class DatasetReport:
    """`schemas/v1/dataset-report.schema.json`."""

    place: Place
    dataset: ListedDataset
    records: tuple[DatasetRecord, ...]
    requests: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-dataset-report",
            "version": 1,
            "place": asdict(self.place),
            "dataset": self.dataset.to_document(),
            "records": [document_of(record) for record in self.records],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def document_of(record: DatasetRecord) -> dict[str, Any]:
    """A record as a report and a file of records have it."""
    return {**asdict(record), "tags": dict(record.tags)}


def show_dataset(where: str, dataset: str, *, workers: int = WORKERS, access: Access | None = None) -> DatasetReport:
    """Looks up an evaluation dataset by its id, or by a name that only one has.

    Raises NothingSelected when there is none, Ambiguous for the name of several, WrongUsage for a place of which they
    are not read, RequestRefused and BundleDamaged where its records cannot be read.
    """
    with open_source(where, "datasets show", access=access or Access(), workers=workers) as source:
        found = find_dataset(source, dataset)
        whole = datasets_of(source).complete(found.dataset)
        listed = ListedDataset(whole, found.experiments)
        return DatasetReport(source.place, listed, whole.records or (), source.requests)
