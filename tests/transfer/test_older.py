"""Servers of other releases can be left behind: what they have arrives in a newer one (make test-older)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Runner
from support import models_client, traces_client
from support.oracle import assert_same
from support.rich import rich_workspace
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
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
def test_an_early_mlflow_3_takes_what_it_knows_and_gives_it_back(
    start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    """MLflow 3.5 has traces and logged models, but no requests for the infos of several traces, no assessments that
    name an issue, and no links of traces to prompts."""
    source, old, back = (start_server(release, forked=False) for release in ("3", "3.5", "3"))
    models_client.client("fill", source.wait().url, "-", folder=tmp_path)
    traces_client.client("fill", source.url, "-")
    for _ in range(2):
        done = runsync.sync(source.url, old.wait().url)
        assert done.stopped == ""
        assert {one["kind"] for one in done.failed} <= {"trace"}
        kinds = {one["kind"] for one in done.problems}
        assert kinds <= {"metric of logged model", "assessment of trace", "link of trace"}
    assert len(done.failed) <= 1
    assert (done.objects["traces"].unchanged, done.objects["logged-models"].failed) == (5, 0)
    assert runsync.sync(old.url, back.wait().url).failed == []
    assert runsync.verify(old.url, back.url).differences == []
