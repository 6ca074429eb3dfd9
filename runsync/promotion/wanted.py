"""Which model is meant: a version of a registered model, or one that a run logged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runsync.contract.source import Source
from runsync.errors import Ambiguous, NothingSelected, WrongUsage
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, READY, ModelVersion, home_of
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.experiment import ACTIVE
from runsync.model.fields import parse_order, value_of
from runsync.model.identity import PARENT
from runsync.model.run import Run
from runsync.model.selection import RUNS, Selection
from runsync.model.wording import many
from runsync.runs.models import models_of
from runsync.transfer.find import find_run, resolved
from runsync.transfer.model_files import logged_model
from runsync.transfer.registry import SCHEME, Registry, parted, registry_of

KINDS = (RUNS, LOGGED_MODELS.name, REGISTERED_MODELS.name, MODEL_VERSIONS.name)
"""What goes with a model."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a model is asked for: by `model`, or by a run: `run`, or the one that `best` and `filter` mean."""

    model: str = ""
    run: str = ""
    best: str = ""
    filter: str = ""
    experiments: tuple[str, ...] = ()
    model_path: str | None = None

    def check(self) -> None:
        """Raises WrongUsage for what says too little or too much."""
        by_run = bool(self.best or self.filter or self.experiments)
        ways = [bool(self.model), bool(self.run), by_run]
        if sum(ways) != 1:
            raise WrongUsage(
                "say which model: MODEL@ALIAS or MODEL/VERSION, --run ID, or --best “metrics.auc DESC” (with --filter)"
            )
        if self.model and self.model_path:
            raise WrongUsage("--model-path goes with --run, --best and --filter")


def name_of(source: Source, asked: Asked) -> str:
    """The one model that is meant, so that it never means another: `churn/3`, `models:/m-…`, `runs:/ID/PATH`. What a
    run logged is called by its version where it was registered once. Raises NothingSelected, Ambiguous, WrongUsage."""
    if asked.model:
        return _version_of(source, asked.model)
    run = find_run(source, asked.run) if asked.run else _chosen(source, asked)
    if asked.model_path is None and len(run.model_outputs) == 1:
        uri = f"{SCHEME}{run.model_outputs[0].model_id}"
    else:
        found = models_of(source, run, source.artifacts(run))
        uri = found.choose(asked.model_path, run, "--model-path").uri.rstrip("/")
    return _version_made_of(source, uri, run.run_id) or uri


def _version_made_of(source: Source, uri: str, run_id: str) -> str:
    """The only version of a registered model that was made of this model; "" where there is none, or several."""
    registry, home = Registry(source), home_of(uri, run_id)
    if not registry.is_known:
        return ""
    made = [v for versions in registry.versions.values() for v in versions if v.home == home and v.status == READY]
    return made[0].name if len(made) == 1 else ""


def _version_of(source: Source, text: str) -> str:
    registry = registry_of(source)
    name, alias, number = parted(text)
    if not alias and not number:
        versions = registry.meant(text)
        if len(versions) > 1:
            raise Ambiguous(
                f"“{name}” has {many(len(versions), 'version')}: say which, as {name}@ALIAS or {name}/VERSION",
                [f"{version.name}{_aliases(registry, version)}" for version in reversed(versions)],
            )
    version = registry.version(text)
    if version.status != READY:
        raise NothingSelected(
            f"{version.name} is {version.status}, not {READY}: wait until it is, or see why it is not"
        )
    return version.name


def _aliases(registry: Registry, version: ModelVersion) -> str:
    return "".join(f" @{alias}" for alias in registry.aliases_of(version))


def _chosen(source: Source, asked: Asked) -> Run:
    selection = resolved(source, Selection(asked.experiments, filter=asked.filter, state=ACTIVE))
    homes = source.experiments(replace(selection, filter=""))
    if not asked.best:
        found = list(source.in_order(homes, selection, limit=2))
        if len(found) > 1:
            raise Ambiguous(
                "the filter matches several runs: say which is best, as --best “metrics.auc DESC”, or filter more",
                [f"{run.run_id}  “{run.name}”" for run in found],
            )
        return _first(found, "no run matches the filter")
    order = parse_order(asked.best)
    found = list(source.in_order(homes, selection, (order,), 1))
    run = _first(found, "no run matches" if asked.filter else "there is no run")
    value = value_of(order.field, run)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise NothingSelected(f"no run that matches has {order.field}, by which --best chooses")
    return run


def _first(found: Sequence[Run], why: str) -> Run:
    if not found:
        raise NothingSelected(f"{why}: runsync runs list shows which runs there are")
    return found[0]


def selection_of(source: Source, name: str, lineage: bool) -> Selection:
    """What is to be carried: the model and its run, without other models that this logged; with `lineage` the runs
    above that, too. Raises NothingSelected."""
    models, logged, run_id = _parts_of(source, name)
    runs = [run_id] if run_id else []
    while lineage and runs and (parent := _parent(source, runs[-1])) and parent not in runs:
        runs.append(parent)
    ids = (logged,) if logged else ()
    meant = Selection(runs=tuple(runs), models=models, kinds=KINDS, logged_models=ids, only_these_models=True)
    return resolved(source, meant)


def versions_of(registry: Registry, name: str) -> list[ModelVersion]:
    """A version, and those that it is a copy of; the last has the files. Raises NothingSelected."""
    chain = [registry.version(name)]
    while chain[-1].home.kind == MODEL_VERSIONS.name:
        following = registry.version(chain[-1].home.id)
        if following in chain:
            raise NothingSelected(f"model versions go in a circle: {' → '.join(v.name for v in (*chain, following))}")
        chain.append(following)
    return chain


def _parts_of(source: Source, name: str) -> tuple[tuple[str, ...], str, str]:
    """The versions, the id of the logged model and that of the run which one consists of; "" for none."""
    if name.startswith("runs:/"):
        return (), "", name.removeprefix("runs:/").partition("/")[0]
    if name.startswith(SCHEME):
        logged_id = name.removeprefix(SCHEME)
        found = logged_model(source, logged_id)
        return (), logged_id, found.source_run_id if found is not None else ""
    chain = versions_of(Registry(source), name)
    return tuple(version.name for version in chain), "", chain[-1].run_id or chain[0].run_id


def _parent(source: Source, run_id: str) -> str:
    found = source.batch([run_id], source.experiments(Selection())).runs
    parent = found[0].tags.get(PARENT, "") if found else ""
    return parent if parent and source.batch([parent], source.experiments(Selection())).runs else ""
