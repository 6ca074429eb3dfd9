"""What is kept of runs that are filled and wait for the runs and models they link to."""

from dataclasses import replace

from runsync.model.identity import COMPLETE, ORIGIN, PARENT
from runsync.model.mark import Mark
from runsync.model.run import DatasetInput, LatestMetric, ModelLink, Run
from runsync.workspaces.arrival.copy import Copy

LINKS = {PARENT: "parent", ORIGIN: "born", COMPLETE: "mark"}
RUN = Run(
    "run",
    "1",
    name="one",
    status="FINISHED",
    end_time=9,
    params={"p": "1"},
    tags={**LINKS, "mlflow.note.content": "long"},
    latest_metrics=(LatestMetric("m", 0.5, 1, 1),),
    dataset_inputs=(DatasetInput("d", "1"),),
    model_inputs=(ModelLink("m-1"),),
    model_outputs=(ModelLink("m-2", 3),),
)


def test_params_metrics_and_long_tags_are_let_go_and_links_and_states_stay() -> None:
    copy = Copy(RUN, "1", "there", Mark("x", "1", "y"), RUN, tags_there=RUN.tags)
    copy.let_go()
    kept = replace(RUN, params={}, tags=LINKS, latest_metrics=(), dataset_inputs=())
    assert (copy.run, copy.present, copy.tags_there) == (kept, kept, LINKS)
