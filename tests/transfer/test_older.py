"""Servers of older MLflow can be left behind, and what the newest one has arrives in them as far as they have a place
for it (make test-older)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Runner
from support.oracle import assert_same
from support.rich import rich_workspace
from support.seed import Seeder
from support.servers import MlflowServer
from support.traces_client import client

import runsync as package
from transfer.commands import export, import_, verify

PROXIED = ("--serve-artifacts", "--default-artifact-root", "mlflow-artifacts:/")


@pytest.mark.older
def test_a_workspace_of_mlflow_1_arrives_in_mlflow_3(
    start_server: Callable[..., MlflowServer], mlflow3_b: MlflowServer, prefix: str, bundle: Path, runsync: Runner
) -> None:
    source = start_server("1", extra=PROXIED, forked=False)
    source.wait()
    with Seeder(source.url) as seeder:
        facts = rich_workspace(seeder, prefix, longest_param=250, inputs=False)
    export(runsync, source.url, bundle, facts.pattern)
    import_(runsync, bundle, mlflow3_b.url)
    assert_same(source.url, mlflow3_b.url, [facts.pattern])
    assert verify(runsync, source.url, mlflow3_b.url, facts.pattern)["runs"] == len(facts.runs)


@pytest.mark.older
def test_traces_go_into_mlflow_3_5_and_back_and_what_it_has_no_place_for_is_named(
    start_server: Callable[..., MlflowServer],
) -> None:
    old = start_server("3.5", forked=False)
    new, back = start_server("3", gunicorn=False).wait(), start_server("3", gunicorn=False)
    ids = client("fill", new.url, "-")
    first = package.sync(new.url, old.wait().url)
    assert (first.failed, first.objects["traces"].created) == ([], 6)
    named = sorted(problem["kind"] for problem in first.problems)
    assert named == ["assessment of trace", "link of trace"]
    assert {left.kind for left in first.left_behind} == {"issues"}
    package.sync(new.url, old.url)
    client("change", new.url, ids["rich"])
    again = package.sync(new.url, old.url)
    tally = again.objects["traces"]
    assert (again.failed, tally.updated, tally.unchanged) == ([], 1, 5)
    assert package.verify(new.url, old.url).objects["traces"] == 6
    returned = package.sync(old.url, back.wait().url)
    assert (returned.exit_code, returned.objects["traces"].created) == (0, 6)
    assert package.verify(old.url, back.url).differences == []
    assert package.sync(old.url, back.url).objects["traces"].unchanged == 6
