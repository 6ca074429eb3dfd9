"""verify reads the spans of many traces by one request, and holds few of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.databases import Databases
from support.servers import MlflowServer
from support.traces_client import client

import runsync
from runsync.transfer import compare_entities

pytestmark = [pytest.mark.server, pytest.mark.slow]

COUNT = 60


def test_a_verify_over_rest_takes_few_requests_and_tells_each_difference(
    start_server: Callable[..., MlflowServer], databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_entities, "ROWS_TOGETHER", 30)
    bundle = str(tmp_path / "bundle")
    database = databases.fresh("sqlite")
    client("many", database.for_mlflow, str(COUNT), "2")
    (lost, changed), *_ = [database.execute("SELECT request_id FROM trace_info ORDER BY request_id LIMIT 2")]
    database.execute("DELETE FROM spans WHERE trace_id = ?", *lost)  # with it, a request for many fails as a whole
    server = start_server(extra=("--backend-store-uri", database.for_mlflow), gunicorn=True).wait()
    runsync.export(server.url, bundle)
    for artifacts in (True, False):
        report = runsync.verify(server.url, bundle, artifacts=artifacts, accept=["artifacts"])
        assert (report.differences, report.objects["traces"]) == ([], COUNT)
        assert report.requests < 45
    database.execute("UPDATE spans SET content = replace(content, 'question', 'answer') WHERE trace_id = ?", *changed)
    report = runsync.verify(server.url, bundle)
    assert {(one.id, one.field.rpartition(".")[2]) for one in report.differences} == {(*changed, "spanInputs")}
