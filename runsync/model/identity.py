"""Who a run is across workspaces: the id it was born with, carried as a tag on every copy.

A run that goes A → B → C keeps the id it had in A, so syncing B back to A finds the run again. Tags whose values
name runs are rewritten for the target; their originals stay under `runsync.source.<tag>` (see `model.provenance`).
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

from runsync.errors import RequestRefused
from runsync.model.run import Run

PREFIX = "runsync."
SOURCE = "runsync.source."
ORIGIN = "runsync.source.run_id"
ORIGIN_EXPERIMENT = "runsync.source.experiment_id"
COMPLETE = "runsync.complete"
"""Written last; tells what the copy was made from (see `model.mark`)."""
SESSION = "runsync.session"
"""Which import made the copy; tells two imports that run at once apart. Ends with CLAIMED once it is being filled."""
DUPLICATE_OF = "runsync.duplicate_of"
"""On a run that was taken back: the id of the run that another import made of the same at the same time."""
ORIGIN_DATASET = "runsync.source.dataset_id"
"""On an evaluation dataset: the id that it had where it was made."""
MODELS_ELSEWHERE = "runsync.source.model_links"
"""The links of a run to logged models that are not in the target, as JSON: {"inputs": [[old id, step], …], "outputs":
…}."""
FROM = "runsync.from"
"""The address of the workspace that the copy was last brought from: only that one's deletions can reach it."""
FROM_EXPERIMENT = "runsync.from_experiment"
"""On an experiment: which one it was last brought from, and the name it got (see `model.lineage`)."""
ARRIVES = "runsync.arrives"
"""`deleted` on a copy that was made of a deleted run or experiment, and is deleted when all of it is in."""
DELETED_AT = "runsync.deleted_at"
"""When runsync deleted the run or experiment (epoch milliseconds): servers do not tell the time of a deletion."""
DELETED_RUNS = "runsync.deleted_runs."
"""With a number after it, on an experiment: ids of runs that were deleted before runsync deleted the experiment."""
ARTIFACT_NAMES = "runsync.artifact_names"
"""Artifacts that have another name there (see `model.artifact_names`); with a dot and a number after it for more."""
COPY = "runsync.copy"
"""On a copy that kept its id, instead of the others (see `model.provenance` and `model.lineage`)."""
COPY_PARTS = 4
"""What it has on a run: the mark, where it came from, where the run was born, and under which id."""
CLAIMED = "+"

PARENT = "mlflow.parentRunId"
ROOT = "mlflow.rootRunId"
LINK_TAGS = (PARENT, ROOT)
MODEL_HISTORY = "mlflow.log-model.history"
RUN_NAME = "mlflow.runName"
"""Repeats the name of a run, which goes before it."""


def origin_of(run: Run) -> str:
    """The id the run had where it was born. The tag of a copy that kept its id tells it too: others may have made a
    second run of it by hand, tags and all."""
    parts = run.tags.get(COPY, "").split(" ")
    return parts[-1] if len(parts) == COPY_PARTS else run.tags.get(ORIGIN, run.run_id)


def is_ours(tag: str) -> bool:
    """Whether a tag is runsync's own: those take no part in fingerprints and comparisons."""
    return tag.startswith(PREFIX)


def own_tags_removed(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags without runsync's own."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX)}


def fingerprint(run: Run) -> str:
    """A hash (32 hex digits) of all that a search page tells about a run, apart from where the run lies.

    It does not see a point logged behind the latest step, a file replaced in place, or model inputs and the time of a
    deletion (which MLflow's search leaves out). Raises RequestRefused for a number beyond 64 bits, or a text that is no
    Unicode.
    """
    document = run.to_document()
    for place in ("run_id", "experiment_id", "artifact_uri", "model_inputs", "deleted_time"):
        del document[place]
    document["tags"] = own_tags_removed(run.tags)
    document["latest_metrics"].sort(key=lambda metric: metric["key"])
    document["dataset_inputs"].sort(key=lambda d: (d["name"], d["digest"]))
    document["model_outputs"].sort(key=lambda m: (m["model_id"], m["step"]))
    import orjson  # the help of commands needs none

    try:
        return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    except TypeError as error:
        raise RequestRefused(f"run {run.run_id!a} cannot be kept: {error}") from None


def renamed(run: Run, new_id: str, resolve: Callable[[str], str | None]) -> dict[str, str]:
    """The tags of `run` as they read where it is called `new_id`; `resolve` gives other runs' new ids.

    A link to a run that `resolve` does not know is left out (its original is kept).
    """
    tags = own_tags_removed(run.tags)
    for tag in LINK_TAGS:
        if tag in tags:
            new = new_id if tags[tag] == run.run_id else resolve(tags[tag])
            if new is None:
                del tags[tag]
            else:
                tags[tag] = new
    if MODEL_HISTORY in tags:
        tags[MODEL_HISTORY] = tags[MODEL_HISTORY].replace(run.run_id, new_id)
    return tags


def at_home(run: Run, origins: Callable[[str], str]) -> Run:
    """The run as it would read where it was born: every id in it is an origin id. For comparing two copies."""
    home = origin_of(run)
    tags = renamed(run, home, origins)
    return dataclasses.replace(run, run_id=home, tags=tags)
