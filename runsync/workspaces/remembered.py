"""What runsync remembers, in tags, of the deletion of an experiment or run.

Servers do not tell when a run was deleted, and restoring an experiment restores all its runs. So what runsync deletes
gets a tag with the time, and an experiment remembers which of its runs were deleted already. Tags are the same in every
kind of workspace: what was deleted over REST can be restored in the database.
"""

from collections.abc import Iterator, Mapping, Sequence

from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.identity import DELETED_AT, DELETED_RUNS
from runsync.model.run import Run

IDS_A_TAG = 120
"""Run ids in one experiment tag: MLflow 2 takes 5000 characters."""
SAME_DELETION = 5 * 60 * 1000
"""Milliseconds by which the tag and the server's own time of the last change may differ, clocks being what they are."""

RESTORING = "restoring"
"""Instead of a time: the experiment is active again, and not all of its runs are as they were."""
MARK = "runsync.restoring"
"""On one of the runs that are to be deleted again, from before the experiment is active: a deleted experiment takes no
tags, a restored run in it does. So a restoration that is stopped just then is known from one that others made."""


def time_of(tags: Mapping[str, str]) -> int | None:
    """When runsync deleted what has these tags, in epoch milliseconds; None where it did not."""
    text = tags.get(DELETED_AT, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def tags_of(run_ids: Sequence[str]) -> dict[str, str]:
    """The tags of an experiment that remember these runs."""
    starts = enumerate(range(0, len(run_ids), IDS_A_TAG))
    return {f"{DELETED_RUNS}{number}": ",".join(run_ids[start : start + IDS_A_TAG]) for number, start in starts}


def keys_in(tags: Mapping[str, str]) -> Iterator[str]:
    """Those of the tags that remember a deletion."""
    return (key for key in tags if key.startswith(DELETED_RUNS) or key == DELETED_AT)


def is_half_restored(experiment: Experiment, runs: Sequence[Run]) -> bool:
    """Whether a restoration that was cut short left runs of an active experiment (all are given) to be put back."""
    is_told = experiment.tags.get(DELETED_AT) == RESTORING or any(MARK in run.tags for run in runs)
    return experiment.lifecycle_stage == ACTIVE and is_told


def noted(experiment: Experiment) -> tuple[str, ...] | None:
    """What a deletion that was stopped noted on an active experiment, before it deleted any run; None where there was
    none. One that others restored since has another time of its last change."""
    at = time_of(experiment.tags)
    if at is None or at <= (experiment.last_update_time or 0):
        return None
    return tuple(id for id in _told(experiment.tags).split(",") if id)


def deleted_runs(experiment: Experiment, runs: Sequence[Run]) -> tuple[str, ...] | None:
    """The runs that were deleted before the experiment was (all of its runs are given); None where that is not told,
    as of an experiment that others deleted since."""
    at, changed = time_of(experiment.tags), experiment.last_update_time
    is_told = at is not None and (changed is None or abs(changed - at) <= SAME_DELETION)
    told = _told(experiment.tags)
    if not is_told and not (told and is_half_restored(experiment, runs)):
        return None
    there = {run.run_id for run in runs}
    return tuple(run_id for run_id in told.split(",") if run_id in there)


def _told(tags: Mapping[str, str]) -> str:
    return ",".join(value for key, value in tags.items() if key.startswith(DELETED_RUNS))
