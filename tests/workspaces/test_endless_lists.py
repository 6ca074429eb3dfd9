"""Servers that ignore filters, orders or page tokens: everything arrives once, or the list is given up soon."""

import itertools
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.hostile_server import _ALL, RUNS, Answering, Asked, Fault, Good, Handler, HostileServer

import runsync
from runsync.errors import RequestRefused, WorkspaceUnreachable
from runsync.s3 import S3, S3Options
from runsync.s3_errors import Refused
from runsync.workspaces.http.fields import EMPTY, pages

COUNT, PAGE = 300, 40
SOME = 60
"""Requests that no list here takes."""
_tokens = itertools.count(1)


def _made() -> list[dict[str, Any]]:
    found = []
    for number in range(COUNT):
        run = {**_ALL[RUNS[0]]}
        lr = "0.1" if number % 3 else "0.2"
        run["info"] = {**run["info"], "run_id": f"{number:032x}", "start_time": 1000 + number // 2}
        run["info"]["lifecycle_stage"] = "deleted" if number % 5 == 0 else "active"
        run["data"] = {"params": [{"key": "lr", "value": lr}]}
        run["inputs"] = run["outputs"] = {}
        found.append(run)
    return found


MANY = _made()
SHUFFLED = [*MANY[::7], *(run for number, run in enumerate(MANY) if number % 7)]


def _started(run: dict[str, Any]) -> int:
    return int(run["info"]["start_time"])


def ignoring(*what: str) -> Answering:
    """A server of many runs that ignores these: filters, tokens (each page has a new one all the same), order, view."""

    def answer(handler: Handler, asked: Asked, right: Good) -> None:
        if "1" not in asked.body.get("experiment_ids", []):
            handler.send(Good({}))
            return
        condition, token = str(asked.body.get("filter", "")), str(asked.body.get("page_token", "0"))
        found = sorted(MANY, key=_started) if "order" not in what else SHUFFLED
        if "filters" not in what and (since := re.search(r"start_time >= (\d+)", condition)):
            found = [run for run in found if _started(run) >= int(since[1])]
        if "view" not in what and asked.body.get("run_view_type") != "ALL":
            stage = str(asked.body["run_view_type"]).partition("_")[0].lower()
            found = [run for run in found if run["info"]["lifecycle_stage"] == stage]
        start = 0 if "tokens" in what else int(token.partition(".")[0])
        told: dict[str, Any] = {"runs": found[start : start + PAGE]}
        if start + PAGE < len(found):
            told["next_page_token"] = f"{start + PAGE}.{next(_tokens)}"
        handler.send(Good(told))

    return answer


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


def ids_listed(server: HostileServer, *what: str, **selection: Any) -> list[str]:
    """The ids of all runs that are listed, in order."""
    server.meet(Fault("many runs", "runs/search$", ignoring(*what)))
    workspace = runsync.open_workspace(server.url)
    try:
        wanted = runsync.Selection(**selection)
        experiments = workspace.experiments(runsync.Selection())
        return [run.run_id for batch in workspace.batches(experiments, wanted) for run in batch.runs]
    finally:
        server.notes = workspace.notes  # type: ignore[attr-defined]
        workspace.close()


def ids(of: Any = lambda run: True) -> list[str]:
    return sorted(run["info"]["run_id"] for run in MANY if of(run))


@pytest.mark.parametrize("what", [(), ("filters",), ("tokens",), ("order",), ("filters", "order")])
def test_each_run_is_listed_once_whatever_is_ignored(server: HostileServer, what: tuple[str, ...]) -> None:
    assert sorted(ids_listed(server, *what)) == ids()
    assert server.met < SOME
    is_told = any("ignores the order or the bounds of start time" in note for note in server.notes)  # type: ignore[attr-defined]
    assert is_told == bool({"filters", "order"} & set(what))


@pytest.mark.parametrize("what", [("filters", "tokens"), ("filters", "tokens", "order"), ("tokens", "order")])
def test_a_list_that_repeats_its_first_page_for_ever_is_given_up(server: HostileServer, what: tuple[str, ...]) -> None:
    with pytest.raises(WorkspaceUnreachable, match="list of runs does not end"):
        ids_listed(server, *what)
    assert server.met < SOME


def test_another_try_is_not_advised_where_it_ends_alike(server: HostileServer, tmp_path: Path, runsync: Runner) -> None:
    server.meet(Fault("many runs", "runs/search$", ignoring("filters", "tokens")))
    done = runsync("export", server.url, str(tmp_path / "b"))
    assert done.returncode == 13
    assert "name the server's own address, update it, or read its database or file store instead" in done.stderr
    assert "again to go on" not in done.stdout
    assert "another try alone ends here again" in done.stdout


def test_runs_that_a_filter_does_not_mean_are_left_out_and_told(server: HostileServer) -> None:
    wanted = ids(lambda run: run["data"]["params"][0]["value"] == "0.2")
    assert sorted(ids_listed(server, "filters", filter="params.lr = '0.2'")) == wanted
    assert f"the server ignores filters: {COUNT - len(wanted)} runs that it listed too left out" in server.notes  # type: ignore[attr-defined]


def test_a_server_that_takes_nan_for_0_does_not_ignore_filters(server: HostileServer) -> None:
    """As older ones do: such runs are left out, which is nothing to tell."""
    runs = [
        dict(run, data={"metrics": [{"key": "loss", "value": value}]})
        for run, value in zip(MANY, ("NaN", 0.1), strict=False)
    ]
    answer: Answering = lambda handler, asked, right: handler.send(Good({"runs": runs}))  # noqa: E731
    server.meet(Fault("runs with a NaN", "runs/search$", answer))
    workspace = runsync.open_workspace(server.url)
    wanted = runsync.Selection(filter="metrics.loss < 0.5")
    experiments = [e for e in workspace.experiments(runsync.Selection()) if e.experiment_id == "1"]
    listed = [run.run_id for batch in workspace.batches(experiments, wanted) for run in batch.runs]
    notes = workspace.notes
    workspace.close()
    assert listed == [MANY[1]["info"]["run_id"]]
    assert not [note for note in notes if "filters" in note]


def test_runs_of_another_state_are_left_out(server: HostileServer) -> None:
    wanted = ids(lambda run: run["info"]["lifecycle_stage"] == "deleted")
    assert sorted(ids_listed(server, "view", state="deleted")) == wanted


def ever_new_tokens(name: str) -> Answering:
    """The right answer, with a token of a page that is the same again."""

    def answer(handler: Handler, asked: Asked, right: Good) -> None:
        handler.send(Good({**(right.document or {}), "next_page_token": f"t{next(_tokens)}"}))

    return answer


def test_experiments_without_end_are_given_up(server: HostileServer, tmp_path: Path) -> None:
    server.meet(Fault("experiments", "experiments/search$", ever_new_tokens("experiments")))
    with pytest.raises(RequestRefused, match="list of experiments does not end"):
        runsync.export(server.url, tmp_path / "b")
    assert server.met < 10


def test_a_history_without_end_fails_its_run_alone(server: HostileServer, tmp_path: Path) -> None:
    server.meet(Fault("histories", r"get-history$", ever_new_tokens("metrics")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runsync.workspaces.rest.metrics.BULK_ROWS", 0)  # nothing is asked for in bulk
        report = runsync.export(server.url, tmp_path / "b")
    assert report.exit_code == 3
    assert all("the server's list of metrics does not end" in str(failed) for failed in report.failed)
    assert len(report.failed) == len(RUNS)
    assert server.met < 30


@pytest.mark.parametrize("name", ["model_versions", "files", "contents", "clusters", "credential_infos"])
@pytest.mark.parametrize("are_long", [False, True])
def test_pages_that_repeat_under_new_tokens_end_any_list(name: str, are_long: bool) -> None:
    first = [{"name": "a"}, {"name": "b"}]
    others = [[{"name": "c"}], first, [{"name": "c"}], first, [{"name": "c"}], first]
    told = iter([first, *others, *others])
    with pytest.raises(RequestRefused, match=f"list of {name} does not end"):
        list(pages(lambda token: {name: next(told), "next_page_token": f"t{next(_tokens)}"}, name, are_long=are_long))


def test_empty_pages_may_come_before_others() -> None:
    told = iter([[], [], [], [], [{"name": "a"}]])
    answers = ({"files": page, **({"next_page_token": f"t{next(_tokens)}"} if not page else {})} for page in told)
    assert [len(page) for page in pages(lambda token: next(answers), "files")] == [0, 0, 0, 0, 1]
    with pytest.raises(RequestRefused, match="does not end"):
        list(islice(pages(lambda token: {"files": [], "next_page_token": token + "x"}, "files"), EMPTY + 1))


class _EndlessS3(BaseHTTPRequestHandler):
    asked = 0

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        type(self).asked += 1
        content = (
            '<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>p/a</Key>'
            "<Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            f"<NextContinuationToken>t{next(_tokens)}</NextContinuationToken></ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_objects_on_s3_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of nobody at all")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _EndlessS3)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        s3 = S3(S3Options(endpoint=f"http://127.0.0.1:{listening.server_address[1]}"))
        with pytest.raises(Refused, match="list of objects does not end"):
            list(s3.list("bucket", "p/"))
    finally:
        listening.shutdown()
        listening.server_close()
    assert _EndlessS3.asked < 10
