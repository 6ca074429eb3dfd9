"""Servers as people run them: several workspaces, a path prefix, a login, artifacts beside the server."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import MLFLOW, Pair, Runner
from support.oracle import assert_same
from support.proxy import FaultProxy
from support.rich import small_workspace
from support.secrets import MARK, SEARCH
from support.seed import Seeder, points
from support.servers import ADMIN, MlflowServer

from transfer.commands import EACH_RELEASE, NEWEST, export, import_, read, report, verify

StartServer = Callable[..., MlflowServer]

WORKSPACE = "X-MLFLOW-WORKSPACE"
ACCOUNT, OTHER = ("ada", f"of-ada-{MARK}"), ("bob", f"of-bob-{MARK}")
TOKEN = f"t0ken-of-the-target-{MARK}"


def a_run(seeder: Seeder, name: str) -> str:
    """A finished run with a point and a file, in an experiment of that name."""
    run_id = seeder.create_run(seeder.create_experiment(name), "run")
    points(seeder, run_id, "loss", 3)
    seeder.put_artifact(run_id, "folder/file.txt", name.encode())
    seeder.finish(run_id)
    return run_id


def test_runs_move_between_workspaces_of_one_server(start_server: StartServer, bundle: Path, runsync: Runner) -> None:
    server = start_server("3", workspaces=True).wait()
    for name in ("red", "blue"):
        answer = requests.post(f"{server.url}/api/3.0/mlflow/workspaces", json={"name": name}, timeout=300)
        assert answer.ok, answer.text
    red, blue = {WORKSPACE: "red"}, {WORKSPACE: "blue"}
    with Seeder(server.url, red) as seeder:
        facts = small_workspace(seeder, "same name ")
    with Seeder(server.url) as seeder:
        a_run(seeder, "of the default workspace")

    source, target = f"{server.url}?workspace=red", f"{server.url}?workspace=blue"
    exported = export(runsync, source, bundle)
    assert exported["runs"]["created"] == len(facts.runs)
    assert "workspace=red" in exported["source"]["address"]
    import_(runsync, bundle, target, "--verify-artifacts")
    assert_same(server.url, server.url, [facts.pattern], source_headers=red, target_headers=blue)
    verify(runsync, source, target, "--verify-artifacts")
    assert import_(runsync, bundle, target)["runs"]["unchanged"] == len(facts.runs)
    assert not read(server.url, facts.pattern).runs

    default = export(runsync, server.url, bundle.parent / "default")
    assert default["runs"]["created"] == 1
    by_variable = runsync("export", server.url, bundle.parent / "b", "--json", env={"MLFLOW_WORKSPACE": "red"})
    assert report(by_variable)["runs"]["created"] == len(facts.runs)
    unknown = runsync("export", f"{server.url}?workspace=green", bundle.parent / "green")
    assert unknown.returncode == 13
    assert len(unknown.stderr.splitlines()) == 1
    assert "green" in unknown.stderr


@EACH_RELEASE
def test_a_server_without_workspaces_never_hears_of_them(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    a_run(seeder, prefix + "plain")
    with FaultProxy(pair.source.url) as source, FaultProxy(pair.target.url) as target:
        variable = {"MLFLOW_WORKSPACE": "red"}
        selected = ("--experiment", prefix + "*", "--json")
        report(runsync("export", source.url, bundle, *selected, env=variable))
        report(runsync("import", bundle, target.url, "--json", env=variable))
        refused = runsync("export", f"{source.url}?workspace=red", bundle, *selected)
        assert refused.returncode == 13
        assert "workspace" in refused.stderr
        seen = source.seen() + target.seen()
    assert len(seen) > 10
    assert not [request for request in seen if WORKSPACE.lower() in map(str.lower, request.headers)]
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@pytest.mark.parametrize("release", ["3", pytest.param("2", marks=pytest.mark.slow)])
def test_a_server_with_a_static_prefix_is_reached_under_it(
    start_server: StartServer, prefix: str, bundle: Path, runsync: Runner, release: str
) -> None:
    server = start_server(release, static_prefix="/ml").wait()
    # MLflow 2 moves its pages below the prefix and leaves the API where it was.
    url = server.url if release == "3" else server.url.removesuffix("/ml")
    with Seeder(url) as seeder:
        a_run(seeder, prefix + "run")
    naming = ("--rename", f"{prefix}run={prefix}copy")
    export(runsync, url + "/", bundle, prefix + "*")
    import_(runsync, bundle, url, *naming, "--verify-artifacts")
    assert_same(url, url, [prefix + "run"], rename=lambda _: prefix + "copy")
    verify(runsync, bundle, url, *naming, "--verify-artifacts")


@EACH_RELEASE
def test_a_server_behind_a_gateway_with_a_prefix_is_reached(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    facts = small_workspace(seeder, prefix)
    with (
        FaultProxy(pair.source.url, prefix="/team/mlflow") as source,
        FaultProxy(pair.target.url, prefix="/other") as target,
    ):
        export(runsync, source.url, bundle, facts.pattern)
        import_(runsync, bundle, target.url, "--verify-artifacts")
        verify(runsync, source.url, target.url, facts.pattern, "--verify-artifacts")
    assert_same(pair.source.url, pair.target.url, [facts.pattern])


@pytest.fixture
def guarded(pair: Pair) -> Iterator[tuple[FaultProxy, FaultProxy]]:
    """The pair behind two logins: one with user and password, the other with a token."""
    with FaultProxy(pair.source.url, basic=ACCOUNT) as source, FaultProxy(pair.target.url, token=TOKEN) as target:
        yield source, target


def variables(account: tuple[str, str]) -> dict[str, str]:
    return {"MLFLOW_TRACKING_USERNAME": account[0], "MLFLOW_TRACKING_PASSWORD": account[1]}


def with_account(url: str, account: tuple[str, str]) -> str:
    return url.replace("://", f"://{account[0]}:{account[1]}@")


@NEWEST
def test_logins_by_variable_by_address_and_by_configuration(
    guarded: tuple[FaultProxy, FaultProxy],
    pair: Pair,
    seeder: Seeder,
    prefix: str,
    bundle: Path,
    tmp_path: Path,
    runsync: Runner,
) -> None:
    source, target = guarded
    a_run(seeder, prefix + "guarded")
    selected = ("--experiment", prefix + "*")
    results = [
        runsync("export", source.url, bundle, *selected, env=variables(ACCOUNT)),
        runsync("export", with_account(source.url, ACCOUNT), tmp_path / "again", *selected, "--json"),
        runsync("import", bundle, target.url, "--json", env={"MLFLOW_TRACKING_TOKEN": TOKEN}),
        runsync("verify", bundle, with_account(source.url, ACCOUNT), env={"MLFLOW_TRACKING_TOKEN": TOKEN}),
    ]
    SEARCH.holds_secrets(tmp_path / "runsync.toml").write_text(
        f'[workspaces.here]\nuri = "{source.url}"\nusername = "{ACCOUNT[0]}"\npassword_env = "HERE_PASSWORD"\n'
        f'[workspaces.there]\nuri = "{target.url}"\ntoken = "{TOKEN}"\n'
    )
    secret = {"HERE_PASSWORD": ACCOUNT[1]}
    results += [
        runsync("verify", "here", "there", *selected, "--json", env=secret),
        runsync("export", "here", tmp_path / "named", *selected, env=secret),
        runsync("import", tmp_path / "named", "there", "--id-map", tmp_path / "ids.json"),
    ]
    for result in results:
        assert result.returncode == 0, result.stdout + result.stderr
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_a_wrong_login_is_one_line_that_says_what_to_check(
    guarded: tuple[FaultProxy, FaultProxy], pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    source, target = guarded
    a_run(seeder, prefix + "guarded")
    export(runsync, pair.source.url, bundle, prefix + "*")
    results = [
        runsync("export", source.url, bundle.parent / "new"),
        runsync("export", source.url, bundle.parent / "new", env=variables((ACCOUNT[0], OTHER[1]))),
        runsync("export", with_account(source.url, OTHER), bundle.parent / "new", "--json"),
        runsync("import", bundle, target.url, env={"MLFLOW_TRACKING_TOKEN": OTHER[1]}),
        runsync("verify", bundle, with_account(target.url, OTHER)),
    ]
    for result in results:
        assert result.returncode == 13, result.stdout + result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "MLFLOW_TRACKING_USERNAME" in result.stderr
        # Only --json says it on stdout too.
        assert bool(result.stdout) == (result is results[2])


@pytest.mark.parametrize("release", ["3", pytest.param("2", marks=pytest.mark.slow)])
def test_the_login_of_mlflow_itself(
    start_server: StartServer, prefix: str, bundle: Path, runsync: Runner, release: str
) -> None:
    python = MLFLOW[release].parent / "python"
    if subprocess.run([python, "-c", "import flask_wtf"], capture_output=True, check=False).returncode:
        pytest.skip(f"mlflow[auth] is not installed beside {MLFLOW[release]}")
    server = start_server(release, basic_auth=True).wait()
    with Seeder(server.url, server.headers) as seeder:
        # Every request costs the server a slow hash of the password: few requests here.
        a_run(seeder, prefix + "run")
    env = variables(ADMIN)
    results = [
        runsync("export", server.url, bundle, "--json", env=env),
        runsync("import", bundle, server.url, "--prefix", "copy of ", "--json", env=env),
        runsync("verify", bundle, server.url, "--prefix", "copy of ", "--verify-artifacts", "--json", env=env),
    ]
    told: list[dict[str, Any]] = [report(result) for result in results]
    assert told[2]["runs"] == 1
    headers = {"source_headers": server.headers, "target_headers": server.headers}
    assert_same(server.url, server.url, [prefix + "*"], rename=lambda name: "copy of " + name, **headers)
    wrong = runsync("export", server.url, bundle, env=variables((ADMIN[0], OTHER[1])))
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (13, 1)


ODD = {
    "a#b.txt": b"hash\n",
    "100%20.txt": b"an escape that is none\n",
    "100%.txt": b"percent\n",
    "what?.txt": b"question\n",
    "folder #1/deep er/\u00fc.txt": b"nested\n",
    "empty.bin": b"",
    "model/MLmodel": b"run_id: unknown\n",
}


@pytest.mark.parametrize("release", ["3", pytest.param("2", marks=pytest.mark.slow)])
def test_artifacts_beside_the_server_arrive_through_the_file_system(
    start_server: StartServer, prefix: str, bundle: Path, tmp_path: Path, runsync: Runner, release: str
) -> None:
    server = start_server(release, serve_artifacts=False).wait()
    with Seeder(server.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "files"), "files")
        for path, content in ODD.items():
            seeder.put_artifact(run_id, path, content)
        seeder.finish(run_id)
    naming = ("--rename", f"{prefix}files={prefix}copy")
    with FaultProxy(server.url) as proxy:
        told = export(runsync, proxy.url, bundle, prefix + "files")
        assert told["artifacts"] == len(ODD)
        copy = import_(runsync, bundle, proxy.url, *naming, "--verify-artifacts")["id_map"]["runs"][run_id]
        verify(runsync, bundle, proxy.url, *naming, "--verify-artifacts")
        assert not proxy.count("get-artifact|upload-artifact|mlflow-artifacts")
        with Seeder(server.url) as seeder:
            folder = Path(seeder.get_run(copy)["info"]["artifact_uri"].removeprefix("file://"))
        assert {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()} == ODD
        again = import_(runsync, bundle, proxy.url, *naming)
        assert (again["runs"]["unchanged"], again["artifacts"]) == (1, 0)
