"""Which versions of registered models a selection means, and which runs and logged models those link to."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from runsync.contract.source import Source
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import ModelVersion
from runsync.model.selection import RUNS, Selection
from runsync.transfer.model_files import logged_models
from runsync.transfer.registry import Registry


def with_versions(source: Source, selection: Selection) -> Selection:
    """The selection with `NAME/VERSION` of every version that its models mean, and with the runs and the logged models
    that these link to. Raises NothingSelected."""
    registry = Registry(source)
    chosen = [version for text in selection.models for version in registry.meant(text)]
    experiments = source.experiments(Selection())
    logged = logged_models(source, {v.home.id for v in chosen if v.home.kind == LOGGED_MODELS.name})
    wanted = sorted({*_run_ids(chosen), *(model.source_run_id for model in logged.values())} - {""})
    there = {run.run_id for run in source.batch(wanted, experiments).runs} if wanted else set()
    runs = (*selection.runs, *(run_id for run_id in wanted if run_id in there))
    models = tuple(sorted({*selection.logged_models, *logged}))
    return replace(
        selection, models=tuple(sorted({version.name for version in chosen})), runs=runs, logged_models=models
    )


def _run_ids(chosen: Iterable[ModelVersion]) -> Iterator[str]:
    for version in chosen:
        yield version.run_id
        if version.home.kind == RUNS:
            yield version.home.id
