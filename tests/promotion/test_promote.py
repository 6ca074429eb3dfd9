"""A model arrives in another registry unchanged to the byte, once, and its alias last."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner, executable
from support import proxy as faults
from support.databases import Databases
from support.proxy import FaultProxy, Rule
from support.servers import MlflowServer

import runsync
from promotion.conftest import Promote, Registry, Trained, empty_registry, script
from runsync.promotion.digest import digest_of

WRITES = r"^(?!.*/search)"
"""Of requests that are no GET."""


def downloaded(where: str, model: str, into: Path) -> dict[str, bytes]:
    """The files of a model, as they are in a workspace."""
    assert runsync.get_model(where, model, into=into).exit_code == 0
    return {file.relative_to(into).as_posix(): file.read_bytes() for file in into.rglob("*") if file.is_file()}


@pytest.mark.server
def test_a_model_goes_from_server_to_server_and_predicts_the_same(
    served: Registry, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with MlflowServer(executable("3"), folder=tmp_path / "dev", gunicorn=True) as dev:
        script("make_candidates.py", tmp_path, dev.url, "-")
        report = runsync.promote(dev.url, served.url, model="churn@candidate", require=["metrics.auc > 0.8"])
        assert (report.action, report.version, report.exit_code) == ("promoted", 1, 0)
        there = downloaded(served.url, "churn@champion", tmp_path / "there")
        assert there == downloaded(dev.url, "churn/3", tmp_path / "here")
        assert served.predicts("churn@champion") == {"churn@champion": [4, 8]}
        with FaultProxy(served.url) as proxy:
            again = runsync.promote(dev.url, proxy.url, model="churn@candidate", require=["metrics.auc > 0.8"])
            assert sum(proxy.count(WRITES, method) for method in ("POST", "PUT", "PATCH", "DELETE")) == 0
        assert (again.action, again.version, again.exit_code, served.versions) == ("already there", 1, 0, 1)


def test_a_model_is_carried_in_a_bundle_to_a_server(trained: Trained, served: Registry, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    runsync.export(trained.url, bundle, selection=runsync.Selection(models=("churn@candidate",)))
    report = runsync.promote(str(bundle), served.url, model="churn@candidate", to_model="carried")
    assert (report.action, report.exit_code) == ("promoted", 0)
    assert served.predicts("carried@champion") == {"carried@champion": [4, 8]}


@pytest.mark.parametrize(
    "kind", ["sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("postgres", "mysql"))]
)
def test_a_model_goes_into_a_database(trained: Trained, databases: Databases, tmp_path: Path, kind: str) -> None:
    prod = empty_registry(databases, kind, tmp_path)
    for version, (alias, times) in enumerate((("champion", 2), ("challenger", 3)), 1):
        report = runsync.promote(trained.url, prod.url, model=f"churn/{version}", alias=alias)
        assert (report.action, report.version, report.exit_code) == ("promoted", version, 0)
        assert prod.predicts(f"churn@{alias}") == {f"churn@{alias}": [times, 2 * times]}
    assert runsync.promote(trained.url, prod.url, model="churn/2").version == 2
    assert prod.predicts("churn@champion", "churn@challenger") == {"churn@champion": [3, 6], "churn@challenger": [3, 6]}
    (promoted, beside, moved) = runsync.promotions(prod.url, "churn").records
    assert (promoted.holder, promoted.version, promoted.commit, promoted.model) == (None, 1, "c0ffee2", "churn/1")
    assert (beside.alias, moved.holder, moved.version, prod.versions) == ("challenger", 1, 2, 2)


def test_a_model_that_a_sync_brought_with_other_ids_is_promoted_as_it_was(
    carried: Path, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    url = start_server("3").wait().url
    assert runsync.import_(str(carried), url).exit_code == 0
    report = runsync.promote(str(carried), url, model="churn/1")
    assert (report.action, report.version, report.exit_code) == ("promoted", 4, 0)
    assert downloaded(url, "churn@champion", tmp_path / "there") == downloaded(
        str(carried), "churn/1", tmp_path / "here"
    )


def test_the_digest_is_what_sha256sum_gives(promote: Promote, trained: Trained, tmp_path: Path) -> None:
    report = promote("churn/1")
    files = downloaded(trained.url, "churn/1", tmp_path / "files")
    (tmp_path / "files" / "registered_model_meta").write_text("model_name: churn")
    shell = "find . -type f ! -name registered_model_meta -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    assert report.digest == f"sha256:{output(shell, tmp_path / 'files')}"
    assert report.files == len(files)
    assert digest_of({"b": "2", "a": "1"}) == digest_of({"a": "1", "b": "2"}) != digest_of({"a": "2", "b": "1"})


def output(shell: str, folder: Path) -> str:
    """The first word that a line of shell prints."""
    return subprocess.run(shell, shell=True, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[0]


def test_the_model_of_the_best_run_is_promoted(promote: Promote, prod: Registry, trained: Trained) -> None:
    report = promote("", best="metrics.auc DESC", filter="metrics.auc < 0.85")
    assert (report.action, report.exit_code) == ("promoted", 0)
    assert report.model == "churn/2"
    assert prod.predicts("churn@champion") == {"churn@champion": [3, 6]}
    assert promote("", run=trained.runs[1]).action == "already there"


@pytest.mark.parametrize(
    ("options", "told", "code"),
    [
        ({"model": "churn/9"}, "has no version 9", 1),
        ({"model": "churn"}, "has 3 versions: say which", 2),
        ({"model": "chrn@candidate"}, "did you mean “churn”?", 1),
        ({"model": "churn@candidat"}, "did you mean “candidate”?", 1),
        ({"model": ""}, "say which model", 2),
        ({"model": "churn/1", "run": "x"}, "say which model", 2),
        ({"filter": "metrics.auc > 2", "to_model": "x"}, "no run matches the filter", 1),
        ({"filter": "metrics.auc > 0", "to_model": "x"}, "the filter matches several runs", 2),
        ({"best": "metrics.gone DESC", "to_model": "x"}, "no run that matches has metrics.gone", 1),
        ({"model": "churn/1", "alias": "v1"}, "cannot be an alias", 2),
        ({"model": "churn/1", "better_than": ["champion"]}, "say which metric, and which way is better", 2),
        ({"model": "churn/1", "better_than": ["champion"], "on": "params.x up"}, "compares metrics", 2),
        ({"model": "churn/1", "on": "metrics.auc up"}, "--on and --by go with", 2),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_written(
    carried: Path, prod: Registry, options: dict[str, Any], told: str, code: int
) -> None:
    with pytest.raises(runsync.RunsyncError, match=told.replace("?", r"\?")) as error:
        runsync.promote(str(carried), prod.url, **options)
    assert error.value.exit_code == code
    assert runsync.list_models(prod.url).models == []


def test_files_that_do_not_read_back_keep_the_alias_where_it_is(
    carried: Path, served: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    name = "unread"
    runsync.promote(str(carried), served.url, model="churn/1", to_model=name)
    unread = Rule(faults.respond(404), "factor.txt", "GET", count=None)
    with FaultProxy(served.url, unread) as proxy, pytest.raises(runsync.RunsyncError, match="are not those of churn/2"):
        runsync.promote(str(carried), proxy.url, model="churn/2", to_model=name)
    assert unread.fired > 0
    assert runsync.show_model(served.url, name).aliases == {"champion": 1}
    report = runsync.promote(str(carried), served.url, model="churn/2", to_model=name)
    assert (report.action, report.version) == ("promoted", 2)
    assert served.predicts(f"{name}@champion") == {f"{name}@champion": [3, 6]}


def test_nothing_temporary_is_left(
    trained: Trained, prod: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    assert runsync.promote(trained.url, prod.url, model="churn/1", require=["metrics.auc > 2"]).action == "refused"
    with pytest.raises(runsync.RunsyncError):
        runsync.promote(trained.url, f"{prod.url}.gone", model="churn/1")
    assert runsync.promote(trained.url, prod.url, model="churn/1").action == "promoted"
    assert list(spool.iterdir()) == []


def test_several_targets_have_an_outcome_each(carried: Path, prod: Registry, runsync: Runner, tmp_path: Path) -> None:
    (tmp_path / "runsync.toml").write_text(
        f'[workspaces.prod]\nuri = "{prod.url}"\n[workspaces.gone]\nuri = "{prod.url}.gone"\n'
        f'[promotions.churn]\nsource = "{carried}"\ntargets = ["prod", "gone"]\nmodel = "churn@candidate"\n'
        'require = ["metrics.auc > 0.8"]\n'
    )
    done = runsync("promote", "churn", "--json")
    promotions = json.loads(done.stdout)["promotions"]
    assert [one["action"] for one in promotions] == ["promoted", "failed"]
    assert done.returncode == promotions[1]["exit_code"] != 0
    assert runsync("promote", "churn", "--to", "prod").returncode == 0
    assert "has no target “pro”" in runsync("promote", "churn", "--to", "pro").stderr
