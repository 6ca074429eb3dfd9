"""A backup before a deletion, and what it is for: bringing back what the server has purged."""

from pathlib import Path

import pytest
from conftest import executable
from support import forks
from support.changes import experiment, seed_family, stages, tags, valid
from support.forks import clean_environment
from support.proxy import FaultProxy, Rule, respond
from support.seed import Seeder, points
from support.servers import MlflowServer

import runsync
from runsync.errors import WrongUsage
from runsync.model.identity import PARENT
from runsync.model.selection import Selection
from runsync.runs.change import How

ACTIVE, DELETED = "active", "deleted"


def purge(server: MlflowServer, *options: str) -> None:
    """`mlflow gc`."""
    store = f"sqlite:///{server.folder}/mlflow.db"
    command = ["-m", "mlflow", "gc", "--backend-store-uri", store, "--tracking-uri", server.url, *options]
    environment = clean_environment() | {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = forks.run(executable("3"), command, environment, server.folder)
    assert done.returncode == 0, done.stderr


def test_what_was_purged_comes_back_from_the_backup(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, tmp_path: Path
) -> None:
    family = seed_family(on_three, prefix)
    points(on_three, family.grandchild, "loss", 50)
    on_three.put_artifact(family.grandchild, "model/weights.bin", bytes(range(256)))
    bundle = tmp_path / "attic"
    done = valid(runsync.delete_selected_runs(mlflow3_a.url, runs=[family.parent], backup=bundle))
    assert done.exit_code == 0
    assert done.backup is not None
    assert (done.backup.runs.created, done.backup.metric_points, done.backup.artifacts) == (5, 50, 1)
    gone = [family.child_abroad, family.grandchild, family.deepest]
    purge(mlflow3_a, "--run-ids", ",".join(gone))
    planned = valid(
        runsync.restore_selected_runs(mlflow3_a.url, runs=[family.parent], from_bundle=bundle, how=How(dry_run=True))
    )
    assert {item.id for item in planned.of("import")} == set(gone)
    back = valid(runsync.restore_selected_runs(mlflow3_a.url, runs=[family.parent], from_bundle=bundle))
    assert back.exit_code == 0
    assert {item.id for item in back.of("restore")} == {family.parent, family.child}
    new = {item.id: item.new_id for item in back.of("import")}
    assert set(new) == set(gone)
    assert "have new ids" in back.notes[0]
    assert stages(on_three, [family.parent, family.child, *new.values()]) == [ACTIVE] * 5
    assert tags(on_three, new[family.child_abroad])[PARENT] == family.parent
    assert tags(on_three, new[family.deepest])[PARENT] == new[family.grandchild]
    verified = runsync.verify(str(bundle), mlflow3_a.url, verify_artifacts=True)
    assert [d for d in verified.differences if d.id in gone] == []
    again = valid(runsync.restore_selected_runs(mlflow3_a.url, runs=[family.parent], from_bundle=bundle))
    assert (again.exit_code, again.changed(), again.counts("run")["unchanged"]) == (0, [], 5)
    runsync.delete_selected_runs(mlflow3_a.url, runs=[family.parent])
    assert stages(on_three, new.values()) == [DELETED] * 3
    runsync.restore_selected_runs(mlflow3_a.url, runs=[family.parent], from_bundle=bundle)
    assert stages(on_three, new.values()) == [ACTIVE] * 3


def test_experiments_that_were_purged_come_back_from_the_backup(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, tmp_path: Path
) -> None:
    home = on_three.create_experiment(prefix + "home", tags={"team": "growth"})
    on_three.create_run(home, "one")
    bundle = tmp_path / "attic"
    assert valid(runsync.delete_experiments(mlflow3_a.url, [home], backup=bundle)).exit_code == 0
    purge(mlflow3_a, "--experiment-ids", home)
    back = valid(runsync.restore_experiments(mlflow3_a.url, [prefix + "home"], from_bundle=bundle))
    assert back.exit_code == 0
    (item,) = back.of("import")
    assert experiment(on_three, item.new_id)["name"] == prefix + "home"
    assert back.imported is not None
    assert back.imported.runs.created == 1
    assert runsync.restore_experiments(mlflow3_a.url, [prefix + "home"], from_bundle=bundle).changed() == []


def test_nothing_is_deleted_when_the_backup_is_not_whole(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0")
    family = seed_family(on_three, prefix)
    on_three.put_artifact(family.parent, "weights.bin", b"x" * 100)
    broken = Rule(respond(500), path="mlflow-artifacts/artifacts/.*weights.bin", count=None)
    with FaultProxy(mlflow3_a.url, broken) as proxy:
        done = valid(runsync.delete_selected_runs(proxy.url, runs=[family.parent], backup=tmp_path / "attic"))
    assert (done.exit_code, done.changed(), len(done.of("not reached"))) == (1, [], 5)
    assert "the backup is not whole (1 thing failed): nothing was deleted" in done.stopped
    assert stages(on_three, family.runs) == [ACTIVE] * 5


def test_a_bundle_knows_no_deletions(mlflow3_a: MlflowServer) -> None:
    with pytest.raises(WrongUsage, match="--from takes its runs from a bundle"):
        runsync.restore_selected_runs(mlflow3_a.url, Selection(until=1), deleted_since=1, from_bundle="attic")
