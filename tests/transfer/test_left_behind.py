"""What stays behind is the exit code and the last line, unless it was accepted by name."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import ROOT, Runner
from support.proxy import FaultProxy, Rule, respond
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import Filler, empty_sqlite, fill, opened

import runsync as api
from runsync.bundle import schemas
from runsync.cli.pieces import missing_pieces
from runsync.errors import WrongUsage
from runsync.kinds import left_behind
from runsync.kinds.left_behind import CATEGORIES, changed, parse

pytestmark = pytest.mark.long

ACCEPT = "--accept"
LEFT = "1 prompt optimization job, 1 gateway endpoint"
ALL_LEFT = "prompt-optimization-jobs,gateway-endpoints"


def add_endpoint(database: sqlite3.Connection) -> None:
    endpoint = "INSERT INTO endpoints (endpoint_id, name, created_at, last_updated_at, usage_tracking)"
    database.execute(endpoint + " VALUES ('e-1', 'golden', 1, 1, 0)")


def add_job(database: sqlite3.Connection, name: str) -> None:
    job = "INSERT INTO jobs (id, job_name, params, status, creation_time, retry_count, last_update_time)"
    database.execute(job + " VALUES (?, ?, '{}', 2, 1, 0, 1)", (name, name))


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A database with some runs, a gateway endpoint and a job that optimized prompts."""
    address = empty_sqlite(tmp_path / "source.db")
    with opened(address) as workspace:
        fill(Filler(workspace))
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        add_endpoint(database)
        add_job(database, "optimize_prompts")
    return address


@pytest.fixture
def lossy(tmp_path: Path) -> Path:
    """The example's runs; a file of one of them is a link, which is not followed."""
    root = tmp_path / "mlruns"
    shutil.copytree(ROOT / "examples" / "mlruns", root)
    file = next(path for path in sorted(root.glob("*/*/artifacts/**/*")) if path.is_file())
    file.unlink()
    file.symlink_to("/etc/hostname")
    return root


def last(text: str) -> str:
    return text.splitlines()[-1]


@pytest.mark.long
def test_kinds_that_stay_behind_make_the_exit_code_3_and_are_accepted_by_name(
    source: str, tmp_path: Path, runsync: Runner
) -> None:
    there = empty_sqlite(tmp_path / "there.db")
    moved = empty_sqlite(tmp_path / "moved.db")
    commands: list[tuple[object, ...]] = [("export", source, "b"), ("import", "b", there), ("sync", source, moved)]
    for arguments in commands:
        for dry_run in ((), ("--dry-run",)):
            done = runsync(*arguments, *dry_run)
            assert done.returncode == 3, done.stdout + done.stderr
            assert "Not carried (2):\n  1 prompt optimization job: " in done.stdout
            assert "\n  1 gateway endpoint [golden]: they are carried with --gateway\n" in done.stdout
            is_idle = bool(dry_run) and arguments[0] == "import"
            but = "There is nothing to do. Left behind" if is_idle else "but for what stays behind"
            assert f"{but}: {LEFT}. To accept that, add --accept {ALL_LEFT}" in last(done.stdout)
            assert "again" not in last(done.stdout), "that would bring nothing"
            accepted = runsync(*arguments, *dry_run, ACCEPT, f"{ALL_LEFT},webhooks")
            assert (accepted.returncode, "Not carried, as accepted (2):" in accepted.stdout) == (0, True)
            left_open = "What only reading and writing all of it shows is not in this plan."
            foretold = "There is nothing to do." if is_idle else f"Run it without --dry-run to do this. {left_open}"
            assert not dry_run or last(accepted.stdout) == foretold
            assert dry_run or last(accepted.stdout).startswith("Done")
    document = json.loads(
        runsync("import", "b", there, ACCEPT, "prompt-optimization-jobs", ACCEPT, "webhooks", "--json").stdout
    )
    schemas.check("transfer-report", document, "the report")
    assert (document["exit_code"], document["accept"]) == (3, ["prompt-optimization-jobs", "webhooks"])
    told = {left["kind"]: left["accepted"] for left in document["not_carried"]}
    assert told == {"gateway-endpoints": False, "prompt-optimization-jobs": True}


def test_verify_says_what_it_did_not_compare(source: str, tmp_path: Path, runsync: Runner) -> None:
    there = empty_sqlite(tmp_path / "there.db")
    api.export(source, tmp_path / "b")
    api.import_(tmp_path / "b", there)
    for side in (source, "b"):
        done = runsync("verify", side, there)
        assert done.returncode == 4
        assert "Not compared (2):\n" in done.stdout
        assert "\n  1 gateway endpoint [golden]: they are carried with --gateway\n" in done.stdout
        assert last(done.stdout).startswith("Everything that was compared is there, but not all was")
        assert "--accept " in last(done.stdout)
        assert "gateway-endpoints" in last(done.stdout)
        accepted = runsync("verify", side, there, ACCEPT, ALL_LEFT)
        assert (accepted.returncode, last(accepted.stdout)) == (0, "Everything that was compared is there.")
    document = api.verify("b" if Path("b").exists() else str(tmp_path / "b"), there).to_document()
    schemas.check("verify-report", document, "the report")
    assert document["exit_code"] == 4
    without = runsync("verify", "b", there, ACCEPT, ALL_LEFT, "--no-artifacts")
    assert (without.returncode, last(without.stdout)) == (0, "Everything that was compared is there.")
    assert "some artifacts: --no-artifacts" in without.stdout
    nothing = runsync("verify", "b", there, ACCEPT, ALL_LEFT, "--until", "1970-01-01")
    assert (nothing.returncode, last(nothing.stdout)) == (0, "There was nothing to compare.")


def test_only_where_nothing_was_left_out_everything_is_there(tmp_path: Path, runsync: Runner) -> None:
    store = ROOT / "examples" / "mlruns"
    assert last(runsync("export", store, "b").stdout).startswith("Done: snapshot")
    assert last(runsync("verify", store, "b", "--verify-artifacts").stdout) == "Everything is there."
    assert last(runsync("verify", store, "b").stdout) == "Everything is there (artifacts by size)."
    some = runsync("verify", store, "b", "--state", "active")
    assert (some.returncode, last(some.stdout)) == (0, "Everything that was compared is there.")


@pytest.mark.long
def test_runsync_toml_accepts_for_a_workspace_a_bundle_or_a_pair(source: str, tmp_path: Path, runsync: Runner) -> None:
    api.export(source, tmp_path / "b")
    there = empty_sqlite(tmp_path / "there.db")
    places = {"workspaces.dev": source, "workspaces.prod": there, "bundles.night": str(tmp_path / "b")}

    accept = 'accept = ["gateway-endpoints", "prompt-optimization-jobs"]'

    def with_toml(accepting: str, *arguments: str) -> int:
        sections = [
            f'[{name}]\nuri = "{uri}"'
            + ('\naccept = ["gateway-endpoints", "prompt-optimization-jobs"]' if name == accepting else "")
            for name, uri in places.items()
        ]
        if accepting == "pair":
            pair = '[pairs.promote]\nsource = "dev"\ntarget = "prod"\n' + accept
            sections.append(pair)
        (tmp_path / "runsync.toml").write_text("\n".join(sections))
        return runsync(*arguments).returncode

    expected = {"none": 3, "workspaces.dev": 0, "workspaces.prod": 0, "pair": 0, "bundles.night": 3}
    assert {each: with_toml(each, "sync", "dev", "prod") for each in expected} == expected
    assert with_toml("bundles.night", "import", "night@latest", "prod") == 0
    assert with_toml("bundles.night", "verify", "night", "prod") == 0
    assert with_toml("pair", "export", "dev", "night") == 3


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (
            'accept = ["registerd-models"]',
            "[workspaces.dev] accept: nothing is called “registerd-models”: did you mean",
        ),
        ('accept = "traces"', "accept is a list of texts"),
        ('[pairs.x]\nsource = "dev"\naccept = []', "[pairs.x] has no target"),
    ],
)
def test_what_is_wrong_with_accept_in_runsync_toml_is_told(
    section: str, told: str, source: str, tmp_path: Path, runsync: Runner
) -> None:
    (tmp_path / "runsync.toml").write_text(f'[workspaces.dev]\nuri = "{source}"\n{section}\n')
    done = runsync("export", "dev", "b")
    assert done.returncode == 2
    assert told in done.stderr


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(source: str, runsync: Runner) -> None:
    done = runsync("export", source, "b", ACCEPT, "registered_model")
    assert done.returncode == 2
    assert "--accept: nothing is called “registered_model”: did you mean “registered-models”?" in done.stderr
    assert all(name in done.stderr for name in CATEGORIES)
    with pytest.raises(WrongUsage, match="nothing is called “nonsense”; What can be accepted"):
        parse(["nonsense"])


def test_a_file_that_was_not_readable_at_export_is_told_for_ever(lossy: Path, tmp_path: Path, runsync: Runner) -> None:
    exported = runsync("export", lossy, "b")
    assert exported.returncode == 3
    assert "but 1 piece is missing, as listed above" in last(exported.stdout)
    assert "Run it again" not in last(exported.stdout)
    assert runsync("export", lossy, "b", ACCEPT, "missing-pieces").returncode == 0
    unread = "1 file ["
    for told in (runsync("check", "b"), runsync("snapshots", "b")):
        assert told.returncode == 0
        assert "The newest snapshot lacks (1):\n  " + unread in told.stdout
    assert "Missing pieces (1):" in runsync("inspect", "b").stdout
    for name, report in (("check", api.check(tmp_path / "b")), ("snapshots", api.snapshots(tmp_path / "b"))):
        schemas.check(f"{name}-report", report.to_document(), "the report")
    there = empty_sqlite(tmp_path / "there.db")
    for arguments, code in ((("import", "b", there), 3), (("verify", "b", there), 4)):
        done = runsync(*arguments)
        assert done.returncode == code
        assert unread in done.stdout
        assert "not readable at export" in done.stdout
        assert "again" not in last(done.stdout)
        assert runsync(*arguments, ACCEPT, "missing-pieces").returncode == 0


def test_of_a_snapshot_without_artifacts_those_are_missed(tmp_path: Path, runsync: Runner) -> None:
    there = empty_sqlite(tmp_path / "there.db")
    assert runsync("export", ROOT / "examples" / "mlruns", "b", "--no-artifacts").returncode == 0
    for verb, code in (("import", 3), ("verify", 4)):
        done = runsync(verb, "b", there)
        assert (done.returncode, "--accept artifacts" in last(done.stdout)) == (code, True), done.stdout
        assert runsync(verb, "b", there, ACCEPT, "artifacts").returncode == 0
        assert runsync(verb, "b", there, "--no-artifacts").returncode == 0


def test_what_another_try_may_bring_is_never_accepted() -> None:
    report = api.TransferReport("sync", None, None, accept=frozenset({"missing-items", "missing-pieces"}))  # type: ignore[arg-type]
    report.failed = [{"kind": "run", "id": "1", "name": "", "error": "HTTP 503", "retry": True}]
    assert report.exit_code == 3
    report.failed[0]["retry"] = False
    assert (report.exit_code, [left.kind for left in report.accepted]) == (0, ["missing-items"])


def test_a_backup_before_experiments_are_deleted_must_have_what_goes_with_them(
    source: str, tmp_path: Path, runsync: Runner
) -> None:
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        model = (
            "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,"
            " last_updated_timestamp_ms, status, lifecycle_stage) VALUES ('m-1', ?, 'm', '/m', 'never', 1, 2, 'active')"
        )
        ((home, name),) = database.execute(
            "SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'active' LIMIT 1"
        ).fetchall()
        database.execute(model, (home,))
    deleting = ("experiments", "delete", source, name, "--backup", "attic", "--yes")
    refused = runsync(*deleting)
    assert (refused.returncode, "nothing was deleted" in refused.stderr) == (1, True)
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        database.execute("DELETE FROM logged_models")
    assert runsync(*deleting).returncode == 0


def test_every_kind_has_one_name_and_stands_in_the_documents() -> None:
    assert all(kind.part_of in ("", *CATEGORIES) for kind in CATEGORIES.values())
    told = (ROOT / "docs" / "left-behind.md").read_text()
    assert [name for name in CATEGORIES if f"`{name}`" not in told] == []


def test_what_a_server_has_beside_runs_is_counted(
    mlflow3_a: MlflowServer, prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    def gateway(method: str, path: str, **body: object) -> dict[str, Any]:
        url = f"{mlflow3_a.url}/api/3.0/mlflow/gateway/{path}"
        document: dict[str, Any] = requests.request(method, url, json=body, timeout=300).json()
        return document

    with Seeder(mlflow3_a.url) as seeder:
        seeder.create_experiment(prefix + "churn")
    named = {"secret_name": prefix, "secret_value": {"api_key": "x"}, "provider": "openai"}
    secret = {"secret_id": gateway("POST", "secrets/create", **named)["secret"]["secret_id"]}
    model = {"name": prefix, "provider": "openai", "model_name": "gpt-4o", **secret}
    made = gateway("POST", "model-definitions/create", **model)["model_definition"]
    of_model = {"model_definition_id": made["model_definition_id"]}
    configs = [{**of_model, "linkage_type": "PRIMARY"}]
    golden = gateway("POST", "endpoints/create", name="golden", model_configs=configs)["endpoint"]
    try:
        done = runsync("export", mlflow3_a.url, tmp_path / "b", "--experiment", prefix + "churn", "--json")
    finally:
        gateway("DELETE", "endpoints/delete", endpoint_id=golden["endpoint_id"])
        gateway("DELETE", "model-definitions/delete", **of_model)
        gateway("DELETE", "secrets/delete", **secret)
    told = {left["kind"]: (left["count"], left["names"]) for left in json.loads(done.stdout)["not_carried"]}
    assert done.returncode == 3
    assert told["gateway-endpoints"] == (1, ["golden"])
    assert told["gateway-model-definitions"] == told["gateway-secrets"] == (1, [prefix])


def test_of_jobs_those_that_people_start_are_counted(tmp_path: Path, runsync: Runner) -> None:
    address = empty_sqlite(tmp_path / "jobs.db")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as database, database:
        for name in ("optimize_prompts", "run_online_trace_scorer"):
            add_job(database, name)
    done = runsync("export", address, "b")
    assert (done.returncode, "1 prompt optimization job: " in done.stdout) == (3, True)
    assert runsync("export", address, "b", ACCEPT, "prompt-optimization-jobs").returncode == 0


OLDER = b"""{"error_code": "INVALID_PARAMETER_VALUE",
"message": "Missing value for required parameter 'experiment_id'. See the API docs for more information."}"""
"""What MLflow 3.4 to 3.12 answers to a request for all scorers."""


def told_unsought(line: str) -> set[str]:
    """The kinds of a line that says what was not looked for."""
    start, end = "Not looked for: ", " (the server lists them for one experiment at a time)"
    assert line.startswith(start)
    assert line.endswith(end)
    return set(line.removeprefix(start).removesuffix(end).split(", "))


def test_what_a_server_lists_by_experiment_is_not_looked_for_and_told(
    start_server: Callable[..., MlflowServer], tmp_path: Path, runsync: Runner
) -> None:
    server = start_server("3").wait()
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment("churn")
        seeder.finish(seeder.create_run(home))
    unsought = {"prompt optimization jobs", "label schemas", "review queues"}
    older = Rule(respond(400, body=OLDER), "scorers/list", count=None)
    for rules, kinds in (((), unsought), ((older,), {*unsought, "scorers"})):
        with FaultProxy(server.url, *rules) as proxy:
            exported = runsync("export", proxy.url, "b")
            verified = runsync("verify", proxy.url, "b")
        assert (exported.returncode, verified.returncode) == (0, 0)
        for done in (exported, verified):
            assert told_unsought(done.stdout.splitlines()[-2]) == kinds
        assert last(verified.stdout) == "Everything that was compared is there."
    report = json.loads(runsync("verify", server.url, "b", "--json").stdout)
    schemas.check("verify-report", report, "the report")
    told = {(left["what"], left["kind"]) for left in report["not_compared"]}
    assert told == {(f"{kind} that were not looked for", "") for kind in unsought}
    there = empty_sqlite(tmp_path / "there.db")
    imported = runsync("import", "b", there)
    line = next(line for line in imported.stdout.splitlines() if line.startswith("Not looked for"))
    assert (imported.returncode, told_unsought(line)) == (0, {*unsought, "scorers"})
    assert line in runsync("inspect", "b").stdout
    assert last(runsync("verify", "b", there).stdout) == "Everything that was compared is there."
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database:
        made = database.execute("SELECT count(*) FROM label_schemas").fetchone()
    assert made == (0,), "listing them would have made one"


def test_a_server_on_files_has_none_of_what_only_databases_keep(
    start_server: Callable[..., MlflowServer], tmp_path: Path, runsync: Runner
) -> None:
    store = ("--backend-store-uri", str(tmp_path / "mlruns"))
    server = start_server("3", extra=store, environment={"MLFLOW_ALLOW_FILE_STORE": "true"}).wait()
    done = runsync("export", server.url, "b", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["experiments"]["created"], report["not_carried"]) == (0, 1, [])


def test_files_that_a_bundle_lacks_count_only_where_files_are_asked_for(
    lossy: Path, tmp_path: Path, runsync: Runner
) -> None:
    assert api.export(str(lossy), tmp_path / "b").exit_code == 3
    there = empty_sqlite(tmp_path / "there.db")
    note = "1 file could not be read at export; no artifacts were asked for"
    for _ in range(2):
        for dry_run in (("--dry-run",), ()):
            done = runsync("import", "b", there, "--no-artifacts", *dry_run)
            assert (done.returncode, note in done.stdout.splitlines()) == (0, True), done.stdout
    verified = runsync("verify", "b", there, "--no-artifacts")
    assert (verified.returncode, f"Note: {note}" in verified.stdout.splitlines()) == (0, True), verified.stdout
    assert last(verified.stdout) == "Everything that was compared is there."
    for asked in (("import", "b", there), ("verify", "b", there)):
        done = runsync(*asked)
        assert (done.returncode, note in done.stdout) == (3 if asked[0] == "import" else 4, False)


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    left = changed("experiment ids", 1, "taken in the target, or unfit there", ("1 is 4",))
    assert left_behind.told(left) == "1 experiment id [1 is 4]: taken in the target, or unfit there"


def test_a_missing_artifact_is_named_once_in_its_line() -> None:
    problem = {"kind": "artifact", "run_id": "r1", "name": "a#b.txt"}
    for reason in ("artifact “a#b.txt”: no such name there", "artifact “a#b.txt” no such name there"):
        told = list(missing_pieces([{**problem, "reason": reason}]))
        assert told[1:] == ["  run r1: artifact a#b.txt: no such name there"]
