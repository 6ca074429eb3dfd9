"""A store as earlier versions of runsync left it: with five or more tags on each run that was copied."""

from dataclasses import replace

from runsync.model.identity import COMPLETE, COPY, FROM, FROM_EXPERIMENT, ORIGIN_EXPERIMENT
from runsync.model.lineage import Lineage, is_copy, origin_of_experiment
from runsync.model.provenance import Provenance, originals
from runsync.model.selection import Selection
from runsync.workspaces.direct.store import Change, ExperimentChange
from support.stores import opened


def as_earlier(target: str, source: str, *, with_lineage: bool = True) -> None:
    """Gives all copies in the store the tags that version 0.1 wrote; `source` is the address that they came from.
    Versions before `runsync.from_experiment` wrote no lineage."""
    with opened(target) as workspace:
        there = workspace.experiments(Selection())
        for experiment in there:
            if is_copy(experiment):
                tags = {ORIGIN_EXPERIMENT: origin_of_experiment(experiment), FROM: source}
                if with_lineage and (lineage := Lineage.of(experiment)):
                    tags[FROM_EXPERIMENT] = str(lineage)
                change = ExperimentChange(experiment.experiment_id, tags=tags, untagged=[COPY])
                workspace.store.change_experiment(change)
        for batch in workspace.batches(there, Selection()):
            for run in batch.runs:
                told = Provenance.of(run.tags)
                tags = {**originals(replace(run, experiment_id=told.home)), FROM: source, COMPLETE: told.complete}
                workspace.store.change_runs([Change(run.run_id, tags=tags, untagged=[COPY])])
