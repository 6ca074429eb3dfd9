"""Which versions of registered models a selection means, and which runs and logged models those link to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from runsync.contract.source import Source
from runsync.errors import NothingSelected
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.scope import Scope
from runsync.model.nearest import nearest
from runsync.model.selection import RUNS, Selection


def with_versions(source: Source, selection: Selection) -> Selection:
    """The selection with `NAME/VERSION` of every version that its models mean, and with the runs that these link to.
    Raises NothingSelected."""
    registry = source.entities(MODEL_VERSIONS)
    all_versions = list(registry.list(Scope(everything=True))) if registry is not None else []
    chosen = [version for text in selection.models for version in _meant(source, text, all_versions)]
    experiments = source.experiments(Selection())
    wanted = sorted(set(_run_ids(source, chosen)))
    there = {run.run_id for run in source.batch(wanted, experiments).runs} if wanted else set()
    runs = (*selection.runs, *(run_id for run_id in wanted if run_id in there))
    return replace(selection, models=tuple(sorted({version.name for version in chosen})), runs=runs)


def _meant(source: Source, text: str, versions: Sequence[ModelVersion]) -> Iterator[ModelVersion]:
    name, at, alias = text.partition("@")
    number = ""
    if not at and "/" in text:
        name, _, number = text.rpartition("/")
    found = [version for version in versions if version.model == name]
    if not found:
        known = sorted({version.model for version in versions})
        raise NothingSelected(f"there is no registered model “{name}” with a version{_hint(name, known)}")
    if at:
        side = source.entities(MODEL_ALIASES)
        aliases = {a.alias: a.version for a in (side.list(Scope(everything=True)) if side else ()) if a.model == name}
        if alias not in aliases:
            raise NothingSelected(f"registered model “{name}” has no alias “{alias}”{_hint(alias, sorted(aliases))}")
        number = str(aliases[alias])
    found = [version for version in found if number in ("", str(version.version))]
    if not found:
        raise NothingSelected(f"registered model “{name}” has no version {number}")
    yield from found


def _hint(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f": did you mean “{near}”?" if near else f": there are {', '.join(known[:5])}" if known else ""


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
