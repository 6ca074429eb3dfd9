"""The AI gateway goes between servers, bundles and databases with `--gateway`, without its secrets."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import executable
from support.databases import Databases, run_script
from support.gateway import Gateway
from support.secrets import new_secret
from support.servers import MlflowServer
from support.stores import empty_sqlite

import runsync
from runsync import TransferReport, VerifyReport

pytestmark = pytest.mark.server

KINDS = ("gateway-model-definitions", "gateway-endpoints", "guardrails", "budget-policies")
CREATED = dict(zip(KINDS, (2, 2, 1, 3), strict=True))
SECRET = new_secret("gateway")
SECRETS = ["gateway-secrets"]
TABLES = (
    *("model_definitions", "endpoints", "endpoint_model_mappings", "endpoint_tags", "guardrails"),
    *("guardrail_configs", "budget_policies", "scorers"),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("filled")
    with MlflowServer(executable("3"), folder=folder, gunicorn=False) as server:
        Gateway(server.url).fill(SECRET)
        yield server


@pytest.fixture
def there(start_server: Callable[..., MlflowServer]) -> MlflowServer:
    return start_server("3", gunicorn=False).wait()


def told(url: str, *, with_secrets: bool = True) -> dict[str, Any]:
    found = Gateway(url).told()
    return found if with_secrets else {**found, "models": [(name, model, "") for name, model, _ in found["models"]]}


def counts(report: TransferReport) -> dict[str, tuple[int, int]]:
    """Created and updated, by kind."""
    return {kind: (t.created, t.updated) for kind, t in report.objects.items() if kind in KINDS}


def assert_done(report: TransferReport) -> None:
    assert (report.exit_code, report.failed, report.problems) == (0, [], [])


def assert_same(report: VerifyReport) -> None:
    assert (report.exit_code, report.differences) == (0, [])


NOTHING = dict.fromkeys(KINDS, (0, 0))
CARRY: dict[str, Any] = {"gateway": True, "accept": SECRETS}


def test_without_the_option_they_are_named_and_counted(filled: MlflowServer, tmp_path: Path) -> None:
    database = empty_sqlite(tmp_path / "there.db")
    for done in (runsync.sync(filled.url, database), runsync.export(filled.url, tmp_path / "bundle")):
        left = {left.kind: (left.count, set(left.names)) for left in done.not_carried if left.kind}
        budgets = {"ALERT at 50 USD in 1 DAYS, GLOBAL", "ALERT at 100 USD in 1 DAYS, GLOBAL"}
        assert left.pop("budget-policies")[1] > budgets
        assert left == {
            "gateway-model-definitions": (2, {"gpt", "mini"}),
            "gateway-endpoints": (2, {"chat", "plain"}),
            "guardrails": (1, {"be polite"}),
            "gateway-secrets": (1, {"openai-key"}),
            **({"scorers": (1, {"polite"})} if "scorers" in left else {}),
        }
        assert done.exit_code == 3


def test_through_a_bundle_they_are_on_another_server_and_use_its_secrets(
    filled: MlflowServer, there: MlflowServer, tmp_path: Path
) -> None:
    bundle, wanted = tmp_path / "bundle", told(filled.url)
    assert_done(runsync.export(filled.url, bundle, **CARRY))
    assert counts(runsync.export(filled.url, bundle, **CARRY)) == NOTHING
    assert not [path for path in bundle.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    done = runsync.import_(bundle, there.url, **CARRY)
    assert_done(done)
    assert counts(done) == {kind: (count, 0) for kind, count in CREATED.items()}
    assert told(there.url) == told(filled.url, with_secrets=False)
    gateway = Gateway(there.url)
    assert gateway.secrets == []
    for again in (runsync.import_(bundle, there.url, **CARRY), runsync.sync(filled.url, there.url, **CARRY)):
        assert_done(again)
        assert counts(again) == NOTHING
    assert_same(runsync.verify(str(bundle), there.url, **CARRY))
    assert_same(runsync.verify(filled.url, there.url, **CARRY))
    gateway.secret("openai-key", new_secret("theirs"))
    linked = runsync.sync(filled.url, there.url, **CARRY)
    assert counts(linked) == {**NOTHING, "gateway-model-definitions": (0, 2)}
    assert told(there.url) == wanted
    assert counts(runsync.sync(filled.url, there.url, **CARRY)) == NOTHING


def test_a_key_is_not_given_to_a_provider_that_it_is_not_of(filled: MlflowServer, there: MlflowServer) -> None:
    gateway = Gateway(there.url)
    gateway.secret("openai-key", new_secret("theirs"), provider="anthropic")
    gateway.secret("runsync-empty-gpt", "left by an import that was killed")
    assert_done(runsync.sync(filled.url, there.url, **CARRY))
    assert told(there.url) == told(filled.url, with_secrets=False)
    assert gateway.secrets == ["openai-key"]


def test_a_database_keeps_them_and_gives_them_back(filled: MlflowServer, there: MlflowServer, tmp_path: Path) -> None:
    database = empty_sqlite(tmp_path / "copy.db")
    assert_done(runsync.sync(filled.url, database, **CARRY))
    assert counts(runsync.sync(filled.url, database, **CARRY)) == NOTHING
    assert_same(runsync.verify(filled.url, database, **CARRY))
    assert_done(runsync.sync(database, there.url, **CARRY))
    assert told(there.url) == told(filled.url, with_secrets=False)
    assert counts(runsync.sync(database, there.url, **CARRY)) == NOTHING
    assert_same(runsync.verify(database, there.url, **CARRY))


def _digits(value: object) -> object:
    """Those that MySQL tells."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


@pytest.mark.parametrize("kind", ["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def test_databases_keep_every_row_and_use_the_secrets_that_they_have(
    filled: MlflowServer, databases: Databases, tmp_path: Path, kind: str
) -> None:
    source, target, back = filled.folder / "mlflow.db", databases.fresh(kind), empty_sqlite(tmp_path / "back.db")
    for here, there in ((f"sqlite:///{source}", target.url), (target.url, back)):
        assert_done(runsync.sync(here, there, **CARRY, artifacts=False))
        assert counts(runsync.sync(here, there, **CARRY, artifacts=False)) == NOTHING
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(tmp_path / "back.db")) as other:
        one.execute("UPDATE model_definitions SET secret_id = NULL")
        for table in TABLES:
            sides = (side.execute(f"SELECT * FROM {table}") for side in (one, other))
            rows = (sorted(repr([_digits(value) for value in row]) for row in side) for side in sides)
            assert next(rows) == next(rows), table
        assert other.execute("SELECT count(*) FROM secrets").fetchone() == (0,)
        one.rollback()
    target.execute(
        "INSERT INTO secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version, masked_value,"
        " provider, created_at, last_updated_at) VALUES (?, 'openai-key', ?, ?, 1, '{}', 'openai', 1, 1)",
        *("s-1", b"x", b"x"),
    )
    linked = runsync.sync(f"sqlite:///{source}", target.url, **CARRY, artifacts=False)
    assert counts(linked) == {**NOTHING, "gateway-model-definitions": (0, 2)}
    assert counts(runsync.sync(f"sqlite:///{source}", target.url, **CARRY, artifacts=False)) == NOTHING
    assert set(target.execute("SELECT secret_id FROM model_definitions")) == {("s-1",)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("revision", "lacking"),
    [
        ("1bd49d398cd23", {"fallbacks", "chat"}),
        ("e1f2a3b4c5d6", {"no budgets of ENDPOINT"}),
    ],
)
def test_what_an_older_database_has_no_place_for_is_named(
    filled: MlflowServer, tmp_path: Path, revision: str, lacking: set[str]
) -> None:
    run_script(executable("3"), "stages", str(tmp_path), revision)
    done = runsync.sync(filled.url, f"sqlite:///{tmp_path / revision}.db", **CARRY)
    told = str([done.failed, done.problems, done.not_carried])
    assert done.exit_code == 3
    assert {what for what in lacking if what not in told} == set(), told
    again = runsync.sync(filled.url, f"sqlite:///{tmp_path / revision}.db", **CARRY)
    assert counts(again).get("gateway-model-definitions") == (0, 0)


def test_what_changed_is_brought_up_to_date(
    start_server: Callable[..., MlflowServer], there: MlflowServer, tmp_path: Path
) -> None:
    source, database = start_server("3", gunicorn=False).wait(), empty_sqlite(tmp_path / "copy.db")
    Gateway(source.url).fill(SECRET)
    for target in (there.url, database):
        assert_done(runsync.sync(source.url, target, **CARRY))
    Gateway(source.url).change()
    for target in (there.url, database):
        assert len(runsync.verify(source.url, target, **CARRY).differences) >= len(KINDS)
        done = runsync.sync(source.url, target, **CARRY)
        assert_done(done)
        assert counts(done) == dict.fromkeys(KINDS, (0, 1))
        assert_same(runsync.verify(source.url, target, **CARRY))
    assert told(there.url) == told(source.url, with_secrets=False)
