"""compare_models: versions of registered models beside each other, with what their runs and logged models tell."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.errors import WrongUsage
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel, plain_tags
from runsync.kinds.model_versions import NO_STAGE, ModelVersion
from runsync.model import numbers
from runsync.model.place import Place
from runsync.model.run import LatestMetric, Run
from runsync.model.run_table import DETAILS, Row, Subject, Value, differ, rows_of
from runsync.model.selection import Selection
from runsync.threads import WORKERS
from runsync.transfer.model_files import logged_models
from runsync.transfer.places import open_source
from runsync.transfer.registry import Registry, registry_of


@dataclass(slots=True)
class ModelsCompareReport:
    """`schemas/v1/models-compare-report.schema.json`: a value a version in each row, in the order of `versions`."""

    place: Place
    versions: tuple[str, ...]
    rows: tuple[Row, ...]
    requests: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-models-compare-report",
            "version": 1,
            "place": asdict(self.place),
            "versions": list(self.versions),
            "rows": [{**asdict(row), "values": [_plain(value) for value in row.values]} for row in self.rows],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def compare_models(
    where: str,
    versions: Sequence[str],
    *,
    lower_is_better: Collection[str] = (),
    higher_is_better: Collection[str] = (),
    workers: int = WORKERS,
    access: Access | None = None,
) -> ModelsCompareReport:
    """Puts versions (NAME/VERSION, NAME@ALIAS; NAME is all of that model) of one or several models beside each other.

    Params, metrics and tags are those of the run of a version; what its logged model tells goes before, and the tags of
    the version itself before that. Which value of a metric is best follows as in `compare_runs`. Raises NothingSelected
    when there is no such version, WrongUsage for none.
    """
    if not versions:
        raise WrongUsage("name the versions to compare, as NAME/VERSION or NAME@ALIAS")
    with open_source(where, "models compare", access=access or Access(), workers=workers) as source:
        registry = registry_of(source)
        chosen = list({v.name: v for text in versions for v in registry.meant(text)}.values())
        compared = _compared(source, chosen)
        values = rows_of([each.subject for each in compared], lower_is_better, higher_is_better)
        rows = (*_head(registry, compared), *(row for row in values if row.group != DETAILS))
        report = ModelsCompareReport(source.place, tuple(version.name for version in chosen), rows)
        report.requests = source.requests
    return report


@dataclass(frozen=True, slots=True)
class _Compared:
    """A version; its run and its logged model where they are there. `subject` is what both of them tell."""

    version: ModelVersion
    run: Run | None
    logged: LoggedModel | None
    subject: Subject


def _compared(source: Source, versions: Sequence[ModelVersion]) -> list[_Compared]:
    """Looks all of them up together."""
    experiments = source.experiments(Selection())
    homes = {e.experiment_id: e.name for e in experiments}
    logged = logged_models(source, {v.home.id for v in versions if v.home.kind == LOGGED_MODELS.name})
    ids = {v.run_id or logged[v.home.id].source_run_id for v in versions if v.run_id or v.home.id in logged} - {""}
    runs = {run.run_id: run for run in source.batch(sorted(ids), experiments).runs} if ids else {}
    found = []
    for version in versions:
        model = logged.get(version.home.id)
        run = runs.get(version.run_id or (model.source_run_id if model is not None else ""))
        experiment = homes.get(run.experiment_id, "") if run is not None else ""
        told = Subject(as_one_run(version, run, model), experiment, source.place.address)
        found.append(_Compared(version, run, model, told))
    return found


def as_one_run(version: ModelVersion, run: Run | None, model: LoggedModel | None) -> Run:
    """A run that has all that a version, its run and its logged model tell. What the logged model says goes before what
    the run says, and the tags of the version before those of both."""
    base = run or Run("", "")
    tags = {**base.tags, **(plain_tags(model) if model is not None else {}), **version.tags}
    if model is None:
        return replace(base, tags=tags)
    latest = {metric.key: metric for metric in base.latest_metrics}
    points = sorted(model.metrics, key=lambda m: (m.step, m.timestamp, numbers.stored(m.value)))
    latest |= {m.key: LatestMetric(m.key, m.value, m.timestamp, m.step) for m in points}
    return replace(base, tags=tags, params={**base.params, **model.params}, latest_metrics=tuple(latest.values()))


def _head(registry: Registry, compared: Sequence[_Compared]) -> list[Row]:
    told: dict[str, list[Value]] = {
        "aliases": [", ".join(registry.aliases_of(each.version)) or None for each in compared],
        "stage": [None if each.version.stage == NO_STAGE else each.version.stage for each in compared],
        "status": [each.version.status for each in compared],
        "created": [each.version.created_at for each in compared],
        "description": [each.version.description or None for each in compared],
        "run_id": [each.version.run_id or None for each in compared],
        "run": [each.run.name if each.run is not None else None for each in compared],
        "experiment": [each.subject.experiment or None for each in compared],
        "logged_model": [each.logged.model_id if each.logged is not None else None for each in compared],
    }
    return [Row(DETAILS, key, tuple(values), differ(values)) for key, values in told.items()]


def _plain(value: Value) -> Any:
    return numbers.to_json(value) if isinstance(value, float) else value
