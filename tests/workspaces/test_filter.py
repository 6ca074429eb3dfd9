"""Filters on real servers: whatever is asked of the server and whatever is looked at here, the answer is the same."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Runner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.memory import export_into
from support.proxy import FaultProxy
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.model.experiment import Experiment
from runsync.model.filter.evaluate import Facts, matches
from runsync.model.filter.parse import parse
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.testing.memory import small_source
from runsync.transfer.places import open_workspace
from runsync.workspaces.rest.workspace import RestWorkspace

TEXTS = [
    "a",
    "A",
    "ab",
    "ä",
    "Ä",
    "0.5",
    "0.50",
    "5",
    "",
    "it's",
    'say "x"',
    "50%",
    "a_b",
    "a\\b",
    "é[x]",
    "nan",
    " a",
    "a\nb",
    "1_0",
]
NUMBERS = ["0", "0.5", "-1", "5", "1e300"]
KEYS = ["x", "a b", "m.n", "ü", "a/b"]


@dataclass(repr=False)
class Seeded:
    """A server, and all the runs that were put there."""

    workspace: RestWorkspace
    experiments: list[Experiment]
    runs: list[Run]

    def __repr__(self) -> str:
        """Hypothesis would show every run with what fails."""
        return f"{len(self.runs)} runs"


def _seed(seeder: Seeder, prefix: str) -> list[str]:
    """Runs of every kind in two experiments; the ids of the experiments."""
    chance = random.Random(4)
    homes = [seeder.create_experiment(prefix + name) for name in ("one", "two")]
    for number in range(30):
        tags = {key: chance.choice(TEXTS) for key in KEYS if chance.random() < 0.5}
        run_id = seeder.create_run(
            chance.choice(homes), chance.choice(TEXTS) or "b", start_time=1000 + number // 2, tags=tags
        )
        values = [0.0, 0.5, -1.0, 5.0, math.nan, math.inf]
        metrics = [(key, chance.choice(values), 1, step) for key in KEYS for step in range(2) if chance.random() < 0.4]
        params = {key: text for key in KEYS if chance.random() < 0.5 and (text := chance.choice(TEXTS))}
        seeder.log_batch(run_id, params=params, metrics=metrics)
        if number % 10 == 0:
            seeder.post("runs/delete-tag", run_id=run_id, key="mlflow.runName")
        if chance.random() < 0.7:
            seeder.finish(run_id)
        if chance.random() < 0.2:
            seeder.delete_run(run_id)
    return homes


@pytest.fixture(scope="module", params=["mlflow3_a", "mlflow2_a"])
def seeded(request: pytest.FixtureRequest, fleet: Any) -> Iterator[Seeded]:
    server = fleet.get(request.param)
    with Seeder(server.url) as seeder:
        homes = _seed(seeder, f"filters-{random.getrandbits(40):x}-")
    workspace = open_workspace(server.url)
    assert isinstance(workspace, RestWorkspace)
    experiments = [e for e in workspace.experiments(Selection()) if e.experiment_id in homes]
    yield Seeded(workspace, experiments, list(workspace.in_order(experiments, Selection())))
    workspace.close()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


TEXT = st.sampled_from([*map(_quoted, TEXTS), "'%a%'", "'a%'", "'_'", "'A%'", "'%ä%'", '"it\'s"'])
NUMBER = st.sampled_from(NUMBERS)
OPERATOR = st.sampled_from(["=", "!=", ">", ">=", "<", "<="])
OF_TEXT = st.sampled_from(["params", "tags"])
LIKE = st.sampled_from(["LIKE", "ILIKE", "NOT LIKE"])
NULL = st.sampled_from(["IS NULL", "IS NOT NULL"])
TIME = st.sampled_from(["start_time", "end_time"])
KEY = st.sampled_from([f"`{key}`" for key in KEYS])
CONDITION = st.one_of(
    st.builds("metrics.{} {} {}".format, KEY, OPERATOR, NUMBER),
    st.builds("metrics.{} BETWEEN {} AND {}".format, KEY, NUMBER, NUMBER),
    st.builds("{}.{} {} {}".format, OF_TEXT, KEY, OPERATOR, TEXT | NUMBER),
    st.builds(
        "{}.{} {} {}".format,
        OF_TEXT,
        KEY,
        LIKE,
        TEXT,
    ),
    st.builds("{}.{} IN ({}, {})".format, OF_TEXT, KEY, TEXT, TEXT | NUMBER),
    st.builds(
        "{}.{} {}".format,
        OF_TEXT | st.just("metrics"),
        KEY,
        NULL,
    ),
    st.builds("run_name {} {}".format, st.sampled_from(["=", "!=", "LIKE", "ILIKE"]), TEXT),
    st.builds("status {} '{}'".format, st.sampled_from(["=", "!="]), st.sampled_from(["RUNNING", "FINISHED"])),
    st.builds(
        "{} {} {}".format,
        TIME,
        OPERATOR,
        st.integers(1000, 1030),
    ),
    st.builds("state = '{}'".format, st.sampled_from(["active", "deleted"])),
    st.builds("experiment.name LIKE '%{}'".format, st.sampled_from(["one", "two"])),
    st.just("duration > 1s"),
)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    both = st.builds("{} AND {}".format, inner, inner)
    return inner | both | st.builds("({} OR {})".format, inner, inner) | st.builds("NOT ({})".format, inner)


FILTER = _joined(_joined(CONDITION))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=FILTER)
def test_the_answer_is_the_same_whoever_gives_it(seeded: Seeded, text: str) -> None:
    facts = Facts.of(seeded.experiments)
    expected = {run.run_id for run in seeded.runs if matches(parse(text), run, facts)}
    found = [run.run_id for run in seeded.workspace.in_order(seeded.experiments, Selection(filter=text))]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_a_filter_that_the_server_understands_brings_no_other_runs_over_the_wire(
    seeded: Seeded,
) -> None:
    experiments, runs = seeded.experiments, seeded.runs
    with FaultProxy(seeded.workspace.client.url) as proxy:
        near = open_workspace(proxy.url)
        one = next(run for run in runs if run.status == "FINISHED" and run.lifecycle_stage == "active")
        asked = f"run_name = {_quoted(one.name)} AND start_time = {one.start_time} AND state = 'active'"
        before = proxy.count("runs/search")
        assert one.run_id in {run.run_id for run in near.in_order(experiments, Selection(filter=asked))}
        assert proxy.count("runs/search") == before + 1
        near.close()


def test_runs_with_a_model_version_are_found(mlflow3_a: MlflowServer, prefix: str) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        home = seeder.create_experiment(prefix + "models")
        runs = [seeder.create_run(home, name) for name in ("registered", "not")]
        seeder.post("registered-models/create", name=prefix + "m")
        seeder.post("model-versions/create", name=prefix + "m", source=f"runs:/{runs[0]}/model", run_id=runs[0])
    with FaultProxy(mlflow3_a.url) as proxy:
        workspace = open_workspace(proxy.url)
        experiments = workspace.experiments(Selection(experiments=(prefix + "models",)))
        for text, expected in (("has_model_version", runs[:1]), ("NOT has_model_version", runs[1:])):
            found = [run.run_id for run in workspace.in_order(experiments, Selection(filter=text))]
            assert found == expected
        assert proxy.count("model-versions/search") == 1
        workspace.close()
    with Seeder(mlflow3_a.url) as seeder:
        seeder.call("DELETE", "registered-models/delete", {"name": prefix + "m"})


def test_a_filter_is_told_to_be_wrong_before_anybody_is_asked(runsync: Runner, tmp_path: Any) -> None:
    done = runsync("export", "http://127.0.0.1:9", tmp_path / "b", "--filter", "metrcs.auc > 1")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "runsync: the filter cannot be read: there is no “metrcs.”: did you mean “metrics”?",
        "  metrcs.auc > 1",
        "  ^",
    ]


def test_a_bundle_takes_filters_too(runsync: Runner, tmp_path: Any) -> None:
    export_into(tmp_path / "b", small_source())
    everything = runsync("verify", "b", "b", "--json", cwd=tmp_path)
    assert everything.returncode == 0
    files = runsync("verify", "b", "b", "--filter", "artifact.path LIKE '%' AND NOT params.x = 'nobody'", "--json")
    assert files.returncode == 0, files.stderr
    models = runsync("verify", "b", "b", "--filter", "NOT has_model_version")
    assert models.returncode == 0, models.stderr
