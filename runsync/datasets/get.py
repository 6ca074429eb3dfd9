"""get_dataset: the records of an evaluation dataset into a file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runsync.bundle.address import Access
from runsync.datasets.show import document_of, show_dataset
from runsync.errors import WrongUsage
from runsync.model.place import Place
from runsync.threads import WORKERS
from runsync.whole_file import whole_file


@dataclass(slots=True)
class DatasetGetReport:
    """`schemas/v1/datasets-get-report.schema.json`. With `dry_run` what would be done."""

    place: Place
    dataset_id: str
    name: str
    into: str
    records: int
    dry_run: bool = False
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-datasets-get-report", "version": 1, **asdict(self)}


def get_dataset(
    where: str,
    dataset: str,
    *,
    into: str | Path,
    dry_run: bool = False,
    workers: int = WORKERS,
    access: Access | None = None,
) -> DatasetGetReport:
    """Writes the records of a dataset (an id, or a name that only one has) into a file, as JSON Lines, which
    `mlflow.genai.datasets` takes as `merge_records` of what each line says. What was in the file is replaced.

    Raises what `show_dataset` raises, and WrongUsage where the file cannot be written.
    """
    shown = show_dataset(where, dataset, workers=workers, access=access)
    found = shown.dataset.dataset
    report = DatasetGetReport(shown.place, found.dataset_id, found.name, str(into), len(shown.records), dry_run)
    if dry_run:
        return report
    try:
        with whole_file(Path(into)) as file:
            for record in shown.records:
                file.write(json.dumps(document_of(record), ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
    except OSError as error:
        raise WrongUsage(f"cannot write {into}: {error.strerror or error}") from None
    return report
