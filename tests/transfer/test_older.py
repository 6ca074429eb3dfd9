"""Servers from before MLflow 2.22 can be left behind: their runs arrive in a newer one (make test-older)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Runner
from support.oracle import assert_same
from support.rich import rich_workspace
from support.seed import Seeder
from support.servers import MlflowServer

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
