"""list_experiments and show_experiment."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, RunsyncError
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.named import ambiguous
from runsync.model.place import Place
from runsync.model.run import PART, Unreadable
from runsync.model.selection import Selection
from runsync.threads import WORKERS
from runsync.transfer.places import open_source
from runsync.transfer.report import PARTLY_DONE


@dataclass(slots=True)
class ExperimentsReport:
    """`schemas/v1/experiments-list-report.schema.json`. `runs` counts by experiment id; None: not counted. `unreadable`
    is what was met and cannot be read."""

    place: Place
    experiments: list[Experiment]
    runs: dict[str, int] | None = None
    unreadable: list[Unreadable] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return PARTLY_DONE if self.unreadable else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        counts = self.runs
        return {
            "format": "runsync-experiments-list-report",
            "version": 1,
            "place": asdict(self.place),
            "experiments": [
                {**e.to_document(), "runs": None if counts is None else counts.get(e.experiment_id, 0)}
                for e in self.experiments
            ],
            "unreadable": [asdict(one) for one in self.unreadable],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


@dataclass(slots=True)
class ExperimentReport:
    """`schemas/v1/experiment-report.schema.json`. `statuses` counts active runs; `newest` is epoch milliseconds;
    `logged_models` is how many it has, None where they are not told; `unreadable` are runs that cannot be read, and are
    not counted."""

    place: Place
    experiment: Experiment
    statuses: dict[str, int] = field(default_factory=dict)
    deleted: int = 0
    newest: int | None = None
    logged_models: int | None = None
    unreadable: list[Unreadable] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return PARTLY_DONE if self.unreadable else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-experiment-report",
            "version": 1,
            "place": asdict(self.place),
            "experiment": self.experiment.to_document(),
            "run_counts": {"active": self.statuses, "deleted": self.deleted, "newest": self.newest},
            "logged_models": self.logged_models,
            "unreadable": [asdict(one) for one in self.unreadable],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def list_experiments(
    where: str,
    *,
    experiments: Sequence[str] = (),
    state: str = "all",
    counts: bool = False,
    workers: int = WORKERS,
    access: Access | None = None,
) -> ExperimentsReport:
    """The experiments of these names, ids or globs (default: all), oldest first.

    Their runs are counted where that costs little (a bundle), or with `counts`, which reads all runs of a server.
    `state` is active, deleted or all. Where all are asked for, those that cannot be read are told, too. Raises
    NothingSelected for a name that matches none.
    """
    with open_source(where, "experiments list", access=access or Access(), workers=workers) as source:
        chosen = source.experiments(Selection(tuple(experiments)))
        chosen = [e for e in chosen if state in ("all", e.lifecycle_stage)]
        known = source.known_counts(chosen)
        if known is None and counts:
            batches = source.batches(chosen, Selection())
            known = Counter(run.experiment_id for batch in batches for run in batch.runs)
        found = None if known is None else dict(known)
        unreadable = [] if experiments else list(source.unreadable_experiments())
        return ExperimentsReport(source.place, chosen, found, unreadable, source.requests)


def show_experiment(
    where: str, experiment: str, *, workers: int = WORKERS, access: Access | None = None
) -> ExperimentReport:
    """One experiment by name or id, how many runs it has by status, and how many logged models. Raises NothingSelected,
    Ambiguous, and RunsyncError where it is there and cannot be read."""
    with open_source(where, "experiments show", access=access or Access(), workers=workers) as source:
        for one in source.unreadable_experiments():
            if one.id == experiment and one.kind == "experiment":
                raise RunsyncError(f"experiment {one.id} ({one.place}) cannot be read: {one.reason}")
        chosen = source.experiments(Selection((experiment,)))
        if len(chosen) > 1:
            raise ambiguous(experiment, chosen)
        report = ExperimentReport(source.place, chosen[0])
        statuses: Counter[str] = Counter()
        unread: list[Unreadable] = []
        for run in source.in_order(chosen, Selection(), unread=unread.append):
            report.newest = run.start_time if report.newest is None else report.newest
            if run.lifecycle_stage == "deleted":
                report.deleted += 1
            else:
                statuses[run.status] += 1
        report.unreadable = [
            one for one in unread if one.kind.endswith(("run", PART)) or one.id == report.experiment.experiment_id
        ]
        report.statuses = dict(sorted(statuses.items()))
        report.logged_models = _logged_models(source, chosen[0])
        report.requests = source.requests
    return report


def _logged_models(source: Source, experiment: Experiment) -> int | None:
    models = source.entities(LOGGED_MODELS)
    try:
        return None if models is None else sum(1 for _ in models.list(Scope([experiment], is_narrow=True)))
    except ITEM_ERRORS:
        return None
