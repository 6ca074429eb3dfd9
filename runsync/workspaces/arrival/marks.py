"""What a copy is to be marked with, and whether the one that is there needs another look."""

from collections.abc import Mapping
from dataclasses import replace

from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.identity import fingerprint
from runsync.model.import_options import ImportOptions
from runsync.model.mark import NOT_CARRIED, Mark
from runsync.model.run import RUNNING, Contents, Run
from runsync.workspaces.arrival.present import There, visible


def is_always_looked_at(run: Run, options: ImportOptions) -> bool:
    """Whatever its mark says. A deleted run takes no more points, whatever its status."""
    return options.thorough or (run.status == RUNNING and run.lifecycle_stage == ACTIVE)


def wanted_mark(run: Run, contents: Contents | None, there: Mark | None, options: ImportOptions) -> Mark:
    """What the copy is to be marked with. Where artifacts are not carried, those of an earlier import still count.

    Where nothing but the lifecycle stage has changed, a source that does not tell the contents need not be asked.
    """
    mark = Mark.of(run, contents)
    other_stage = replace(run, lifecycle_stage=ACTIVE if run.lifecycle_stage == DELETED else DELETED)
    only_stage = there is not None and there.record == fingerprint(other_stage)
    if there is not None and only_stage and contents is None and not is_always_looked_at(run, options):
        mark = replace(there, record=mark.record)
    if options.artifacts and mark.artifacts != NOT_CARRIED:
        return mark
    still_counts = there is not None and (only_stage or there.record == mark.record)
    return replace(mark, artifacts=there.artifacts if there is not None and still_counts else NOT_CARRIED)


def is_as_wanted(
    run: Run, tags: Mapping[str, str], contents: Contents | None, there: There, options: ImportOptions
) -> bool:
    """Whether the run that is there is the one wanted, with these tags; links apart."""
    if not wanted_mark(run, contents, there.mark, options).is_met_by(there.mark):
        return False
    return there.state == fingerprint(visible(replace(run, tags=tags)))
