"""Whether a run has a place in a file store, told by name before anything is written. What of it is there already is
not looked at."""

from collections.abc import Iterable, Iterator, Mapping

from runsync.model.paths import folders_above
from runsync.model.run import Run
from runsync.workspaces.direct.misfits import Misfit, Refusal, Unfit
from runsync.workspaces.files.layout import is_run_id, is_text, why_no_key
from runsync.workspaces.files.read import STATUSES

NO_TEXT = "it has characters that UTF-8 cannot hold"
_BESIDE = "another one has the name of a folder that it needs, or lies below it, and a file store cannot keep both"


def refusal(run: Run) -> Refusal | None:
    """Why a run cannot be there, or some of its pieces."""
    if not is_run_id(run.run_id):
        return Refusal("its id is not one that MLflow takes")
    if run.status not in STATUSES.values():
        return Refusal(f"status {run.status!a} is not one that MLflow knows")
    metrics = sorted(metric.key for metric in run.latest_metrics)  # as histories come
    misfits = [
        *misfits_of_texts("param", run.params),
        *misfits_of_texts("tag", run.tags),
        *_outputs(run),
        *misfits_of_keys("metric", metrics),
    ]
    return Refusal(Unfit(misfits)) if misfits else None


def misfits_of_texts(kind: str, texts: Mapping[str, str]) -> Iterator[Misfit]:
    """Params or tags that have no place."""
    yield from misfits_of_keys(kind, texts)
    yield from (Misfit(kind, key, NO_TEXT) for key, value in texts.items() if not is_text(value))


def misfits_of_keys(kind: str, keys: Iterable[str]) -> Iterator[Misfit]:
    """The first of two that cannot be beside each other has its place."""
    taken: set[str] = set()
    folders: set[str] = set()
    for key in keys:
        above = folders_above([key])
        reason = why_no_key(key) or (_BESIDE if key in folders or above & taken else "")
        if reason:
            yield Misfit(kind, key, reason)
        else:
            taken.add(key)
            folders |= above


def _outputs(run: Run) -> Iterator[Misfit]:
    for link in run.model_outputs:
        if not is_run_id(link.model_id):
            yield Misfit("output", link.model_id, "its id cannot be the name of a folder", link)
