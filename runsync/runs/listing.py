"""list_runs: the runs that a selection means, in an order, each once."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order, parse_order, value_of
from runsync.model.place import Place
from runsync.model.run import Run, Unreadable
from runsync.model.selection import Selection
from runsync.threads import WORKERS
from runsync.transfer.find import with_ids
from runsync.transfer.places import open_source
from runsync.transfer.report import PARTLY_DONE
from runsync.transfer.unmet import UnmetFields

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Listing:
    """An open list: `runs` are read as they are asked for. `experiments` by id; `unreadable` is what was met on the way
    and cannot be read."""

    source: Source
    experiments: Mapping[str, Experiment]
    runs: Iterator[Run]
    unreadable: list[Unreadable]
    unmet: UnmetFields

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return PARTLY_DONE if self.unreadable else 0

    def hints(self) -> list[str]:
        """What the filter asks for that no run has; once the runs were gone through."""
        return self.unmet.hints(self.source)

    def experiment_of(self, run: Run) -> Experiment | None:
        """Where a run is."""
        return self.experiments.get(run.experiment_id)


@dataclass(slots=True)
class RunsReport:
    """`schemas/v1/runs-list-report.schema.json`. `experiments` by id; `unreadable` is what was met and cannot be read;
    `seconds` is wall time."""

    place: Place
    experiments: Mapping[str, Experiment]
    runs: list[Run]
    unreadable: list[Unreadable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return PARTLY_DONE if self.unreadable else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-runs-list-report",
            "version": 1,
            "place": asdict(self.place),
            "runs": [document_of(run, self.experiments.get(run.experiment_id)) for run in self.runs],
            "unreadable": [asdict(one) for one in self.unreadable],
            "notes": self.notes,
            "seconds": self.seconds,
            "requests": self.requests,
            "exit_code": self.exit_code,
        }

    def to_arrow(self) -> "pa.Table":
        """A row a run, with the columns of `mlflow.search_runs`: `params.lr`, `metrics.auc`, `tags.team`, …"""
        from runsync.runs.formats import wide_table

        return wide_table(self.runs, self.experiments)

    def to_pandas(self) -> "pd.DataFrame":
        """`to_arrow` as a DataFrame; needs pandas."""
        return self.to_arrow().to_pandas()


def list_runs(
    where: str,
    *,
    selection: Selection | None = None,
    order_by: Sequence[str] = (),
    limit: int | None = None,
    workers: int = WORKERS,
    access: Access | None = None,
) -> RunsReport:
    """The runs of a workspace or bundle, newest first or by `order_by` (`metrics.r2 DESC`); `limit` of them at most.

    Raises NothingSelected for an experiment or run id that is not there, WrongUsage for an order by no known field.
    """
    begun = time.monotonic()
    with open_runs(
        where, selection=selection, order_by=order_by, limit=limit, workers=workers, access=access
    ) as listing:
        report = RunsReport(listing.source.place, listing.experiments, list(listing.runs), listing.unreadable)
        report.notes = listing.hints()
        report.requests = listing.source.requests
    report.seconds = round(time.monotonic() - begun, 3)
    return report


@contextmanager
def open_runs(
    where: str,
    *,
    selection: Selection | None = None,
    order_by: Sequence[str] = (),
    limit: int | None = None,
    workers: int = WORKERS,
    access: Access | None = None,
) -> Iterator[Listing]:
    """Like `list_runs`, for reading one run after the other: memory stays flat where a server keeps the order."""
    selection = selection or Selection()
    order = orders(order_by)
    if limit is not None and limit < 1:
        raise WrongUsage("a limit is 1 or more")
    with open_source(where, "runs list", access=access or Access(), workers=workers) as source:
        homes = source.experiments(Selection(selection.experiments, state=selection.state))
        selection = with_ids(source, selection, homes)
        unreadable: list[Unreadable] = []
        unmet = UnmetFields(selection)
        runs = unmet.noting_each(source.in_order(homes, selection, order, limit, unreadable.append))
        by_id = {e.experiment_id: e for e in homes}
        yield Listing(source, by_id, _all_there(runs, selection, limit), unreadable, unmet)


def orders(texts: Sequence[str]) -> tuple[Order, ...]:
    """Of `metrics.r2 DESC` and the like; newest first where there is none. Raises WrongUsage."""
    found = tuple(parse_order(text) for text in texts) or NEWEST_FIRST
    for order in found:
        value_of(order.field, Run("", ""))
    return found


def document_of(run: Run, experiment: Experiment | None) -> dict[str, Any]:
    """A run with the name of its experiment: a line of `--format jsonl`."""
    return {**run.to_document(), "experiment": experiment.name if experiment is not None else ""}


def _all_there(runs: Iterator[Run], selection: Selection, limit: int | None) -> Iterator[Run]:
    missing = dict.fromkeys(selection.runs)
    for run in runs:
        missing.pop(run.run_id, None)
        yield run
    if missing and limit is None and not selection.filter and selection.since is None and selection.until is None:
        raise selection.absent(next(iter(missing)))
