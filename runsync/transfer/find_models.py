"""Which versions of registered models a selection means, and which runs and logged models those link to."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from runsync.contract.source import Source
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.scope import Scope
from runsync.model.selection import RUNS, Selection
from runsync.transfer.registry import Registry


def with_versions(source: Source, selection: Selection) -> Selection:
    """The selection with `NAME/VERSION` of every version that its models mean, and with the runs that these link to.
    Raises NothingSelected."""
    registry = Registry(source)
    chosen = [version for text in selection.models for version in registry.meant(text)]
    experiments = source.experiments(Selection())
    wanted = sorted(set(_run_ids(source, chosen)))
    there = {run.run_id for run in source.batch(wanted, experiments).runs} if wanted else set()
    runs = (*selection.runs, *(run_id for run_id in wanted if run_id in there))
    return replace(selection, models=tuple(sorted({version.name for version in chosen})), runs=runs)


def _run_ids(source: Source, chosen: Iterable[ModelVersion]) -> Iterator[str]:
    models = set()
    for version in chosen:
        if version.run_id:
            yield version.run_id
        if version.home.kind == RUNS:
            yield version.home.id
        if version.home.kind == LOGGED_MODELS.name:
            models.add(version.home.id)
    side = source.entities(LOGGED_MODELS) if models else None
    for model in side.list(Scope(source.experiments(Selection()), everything=True)) if side is not None else ():
        if model.model_id in models and model.source_run_id:
            yield model.source_run_id
