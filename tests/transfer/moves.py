"""Small workspaces whose experiments change their names, and runs their experiments, and what became of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from support.stores import START, Filler, opened, run_id

from runsync.model.experiment import Experiment
from runsync.model.identity import origin_of
from runsync.model.lineage import origin_of_experiment
from runsync.model.run import DatasetInput, Run
from runsync.model.selection import Selection
from runsync.workspaces.direct.store import Arrival, ExperimentChange

NAMES = {"11": "a", "12": "b", "13": "c"}
"""Experiments by id; each has one run, called after it as it was made."""


def fill(address: str, experiments: Mapping[str, str] = NAMES, artifacts: str = "") -> None:
    """Makes experiments, each with a run that has a file and a dataset."""
    with opened(address, artifacts) as workspace:
        filler = Filler(workspace)
        filler.default()
        for number, (id, name) in enumerate(experiments.items()):
            filler.experiment(Experiment(id, name, creation_time=1, last_update_time=2))
            filler.run(plain(name, id, number), {"loss": [(START, 0, 0.5)]}, {"a.txt": name.encode()})


def plain(label: str, experiment_id: str, number: int = 0) -> Run:
    """A finished run that read a dataset."""
    read = (DatasetInput("train", "d1", "local", "{}", tags={"mlflow.data.context": "training"}),)
    times = START + number, START + number + 9
    tags = {"mlflow.runName": label}
    return Run(run_id(label), experiment_id, label, "ann", "FINISHED", *times, tags=tags, dataset_inputs=read)


def rename(address: str, new: Mapping[str, str]) -> None:
    """Names by experiment id, changed one after the other by way of names that nobody has."""
    with opened(address) as workspace:
        for id in new:
            workspace.store.change_experiment(ExperimentChange(id, f"on the way {id}"))
        for id, name in new.items():
            workspace.store.change_experiment(ExperimentChange(id, name))


def move(address: str, label: str, experiment_id: str) -> None:
    """Puts a run into another experiment, as people do with SQL or `mv`."""
    with opened(address) as workspace:
        run = found(workspace, label)
        arrived = workspace.store.write_runs([Arrival(replace(run, experiment_id=experiment_id), is_new=False)])
        assert arrived == {}


def found(workspace: Any, label: str) -> Run:
    """A run by its name."""
    (run,) = (run for run in all_runs(workspace) if run.name == label)
    assert isinstance(run, Run)
    return run


def all_runs(workspace: Any) -> list[Run]:
    """The runs of a workspace."""
    experiments = workspace.experiments(Selection())
    return [run for batch in workspace.batches(experiments, Selection()) for run in batch.runs]


@dataclass(frozen=True)
class Layout:
    """What a workspace has: experiments as (name, id where it was born) with the names of their active runs."""

    homes: Mapping[tuple[str, str], tuple[str, ...]]
    copies: int
    """The most active runs of one origin."""


def layout(address: str) -> Layout:
    """Active experiments but Default, and where runs are."""
    with opened(address) as workspace:
        experiments = [e for e in workspace.experiments(Selection(state="active")) if e.name != "Default"]
        runs = [run for run in all_runs(workspace) if run.lifecycle_stage == "active"]
    homes = {
        (e.name, origin_of_experiment(e)): tuple(
            sorted(run.name for run in runs if run.experiment_id == e.experiment_id)
        )
        for e in experiments
    }
    return Layout(homes, max(Counter(origin_of(run) for run in runs).values(), default=0))
