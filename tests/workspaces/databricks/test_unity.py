"""Models in Unity Catalog: names of three parts, files that it keeps itself, aliases and no stages."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks, Fault
from emulators.databricks.unity_storage import files_of
from support import models_by_rest, unity_models
from support.databricks import DatabricksSeeder
from support.s3 import Bucket
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import TooManyDeletions, WrongUsage
from workspaces.databricks.conftest import Start

FOLDER = "/Users/ana@example.com/"
ACCEPT = ("permissions",)
RENAME = {"churn": "prod.ml.churn", "empty": "prod.ml.empty"}
EVERYTHING = {"registered-models": 1, "model-versions": 3, "model-aliases": 2}


@pytest.fixture
def dev(start: Start) -> Databricks:
    workspace = start("dev")
    unity_models.fill(workspace)
    return workspace


def begun(start: Start, **options: object) -> Databricks:
    prod = start("prod", **options)
    prod.unity.add_schema("dev.ml")
    prod.unity.add_schema("prod.ml")
    return prod


def of_catalog(report: runsync.TransferReport, action: str = "created") -> dict[str, int]:
    return {kind: count for kind in EVERYTHING if (count := getattr(report.objects[kind], action))}


def test_models_go_from_one_catalog_to_another_by_a_bundle(start: Start, dev: Databricks, tmp_path: Path) -> None:
    prod, bundle = begun(start, cloud="adls"), tmp_path / "bundle"
    exported = runsync.export("databricks://dev", bundle)
    assert (exported.problems, exported.failed, of_catalog(exported)) == ([], [], EVERYTHING)
    report = runsync.import_(bundle, "databricks://prod", accept=ACCEPT)
    assert (report.problems, report.failed, report.left_behind, report.exit_code) == ([], [], [], 0)
    assert of_catalog(report) == EVERYTHING
    assert unity_models.told(prod) == unity_models.told(dev)
    for one, other in (("databricks://dev", "databricks-uc://prod"), (str(bundle), "databricks://prod")):
        verified = runsync.verify(one, other, verify_artifacts=True, accept=ACCEPT)
        assert (verified.differences, verified.exit_code) == ([], 0)
        assert verified.objects.items() >= EVERYTHING.items()
    before = len(prod.requests)
    again = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    assert (again.failed, of_catalog(again), of_catalog(again, "unchanged")) == ([], {}, EVERYTHING)
    asked = {seen.endpoint for seen in prod.requests[before:]}
    assert not [endpoint for endpoint in asked if not endpoint.startswith("GET") and not endpoint.endswith("/search")]
    assert runsync.check(bundle).exit_code == 0


@pytest.mark.parametrize(
    "cloud", ["gcp", pytest.param("aws", id="default storage"), pytest.param("bucket", marks=pytest.mark.slow)]
)
def test_files_go_to_the_storage_of_each_cloud_and_come_back(
    start: Start, dev: Databricks, cloud: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod = begun(start, cloud="gcp" if cloud == "gcp" else "aws")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", prod.cloud_url)
    if cloud == "bucket":
        bucket: Bucket = request.getfixturevalue("bucket")
        prod.unity.bucket = bucket
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    report = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT, verify_artifacts=True)
    assert (report.problems, report.failed, of_catalog(report)) == ([], [], EVERYTHING)
    assert unity_models.told(prod) == unity_models.told(dev)
    verified = runsync.verify("databricks://prod", "databricks://dev", verify_artifacts=True, accept=ACCEPT)
    assert [each for each in verified.differences if each.kind != "permissions"] == []


def test_a_workspaces_own_models_go_to_the_catalog_under_other_names(start: Start) -> None:
    dev, prod = start("dev"), begun(start, cloud="adls")
    with DatabricksSeeder(dev) as seeder:
        models_by_rest.fill(seeder, FOLDER, aliases=False)
    for created, unchanged in ((5, 0), (0, 5)):
        report = runsync.sync("databricks://dev", "databricks-uc://prod", rename=RENAME, accept=ACCEPT)
        assert (report.problems, report.failed, report.exit_code) == ([], [], 0)
        kinds = [report.objects[kind] for kind in ("registered-models", "model-versions")]
        assert (sum(k.created for k in kinds), sum(k.unchanged for k in kinds)) == (created, unchanged)
    stages = next(left for left in report.not_carried if left.what == "stages of model versions")
    assert (stages.count, stages.names) == (1, ("prod.ml.churn/4 (Production)",))
    there = unity_models.told(prod)["prod.ml.churn"]
    assert (list(there[3]), there[4], {version[1] for version in there[3].values()}) == ([1, 3, 4], 4, {"READY"})
    assert files_of(prod, "prod.ml.churn", 4)["data/weights.bin"] == b"second" * 100
    assert prod.unity.models["prod.ml.churn"].versions[4].run_id in prod.tracking.runs
    assert not prod.registry
    verified = runsync.verify("databricks://dev", "databricks-uc://prod", rename=RENAME, accept=ACCEPT)
    assert (verified.differences, verified.exit_code) == ([], 0)
    back = start("back")
    names = {new: old for old, new in RENAME.items()}
    report = runsync.sync("databricks-uc://prod", "databricks://back", rename=names, accept=ACCEPT)
    assert (report.problems, report.failed) == ([], [])
    assert {number: version.stage for number, version in back.registry["churn"].versions.items()} == {
        1: "None",
        3: "None",
        4: "Production",
    }


def test_a_workspace_takes_its_own_models_to_its_catalog(start: Start) -> None:
    dev = begun(start)
    with DatabricksSeeder(dev) as seeder:
        runs = models_by_rest.fill(seeder, FOLDER, aliases=False).runs
    models = runsync.Selection(kinds=("registered-models", "model-versions", "model-aliases"))
    before = len(dev.requests)
    for action in ("created", "unchanged"):
        report = runsync.sync("databricks://prod", "databricks-uc://prod", rename=RENAME, selection=models)
        assert (report.problems, report.failed, report.exit_code) == ([], [], 0)
        assert getattr(report.objects["model-versions"], action) >= 3
    assert {v.run_id for v in dev.unity.models["prod.ml.churn"].versions.values()} == set(runs)
    assert files_of(dev, "prod.ml.churn", 4)["data/weights.bin"] == b"second" * 100
    written = {seen.endpoint for seen in dev.requests[before:] if not seen.endpoint.startswith("GET")}
    assert not [each for each in written if "/experiments/" in each and not each.endswith("/search")]
    with pytest.raises(WrongUsage, match="same workspace"):
        runsync.sync("databricks://prod", "databricks-uc://prod", rename=RENAME)


def test_a_name_that_the_catalog_cannot_have_is_refused_with_the_next_step(start: Start, dev: Databricks) -> None:
    start("prod")
    names = {"dev.ml.churn": "churn"}
    report = runsync.sync("databricks://dev", "databricks-uc://prod", rename=names, accept=ACCEPT)
    told = {one["id"]: one["error"] for one in report.failed}
    assert "say --rename 'churn=CATALOG.SCHEMA.churn'" in told["churn"]
    assert len(told) == 6
    into_own = runsync.sync("databricks://dev", "databricks://prod", rename=names, accept=ACCEPT)
    assert [(left.kind, left.count) for left in into_own.left_behind] == [("model-aliases", 2)]
    assert "--rename" in into_own.left_behind[0].why
    other = {"dev.ml.churn": "Prod.ml.churn"}
    report = runsync.sync("databricks://dev", "databricks://prod", rename=other, accept=ACCEPT)
    assert "say --rename 'Prod.ml.churn=prod.ml.churn'" in report.failed[0]["error"]


def test_only_an_owner_sets_aliases_and_doctor_says_so_beforehand(start: Start, dev: Databricks) -> None:
    prod = begun(start)
    runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    prod.unity.models["dev.ml.churn"].aliases.clear()
    prod.unity.models["dev.ml.churn"].owner = "someone@example.com"
    ana = prod.owner
    prod.directory.tokens[prod.token] = (replace(ana, groups=("users",)), prod.directory.tokens[prod.token][1])
    report = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    assert {one["id"] for one in report.failed} == {"dev.ml.churn@champion", "dev.ml.churn@old"}
    found = [each for each in runsync.doctor("databricks://prod").findings if each.told.startswith("Unity Catalog")]
    assert [(each.topic, each.state, "it owns 0 of them" in each.told) for each in found] == [
        ("rights", "warning", True)
    ]


def test_a_version_of_the_same_number_is_left_as_it_is(start: Start, dev: Databricks) -> None:
    prod = begun(start)
    with DatabricksSeeder(prod) as seeder:
        seeder.post("unity-catalog/registered-models/create", name="dev.ml.churn")
        seeder.post("unity-catalog/model-versions/create", name="dev.ml.churn", source="dbfs:/other")
    report = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    assert [one["id"] for one in report.failed] == ["dev.ml.churn/1"]
    assert (prod.unity.models["dev.ml.churn"].versions[1].status, list(prod.unity.models["dev.ml.churn"].aliases)) == (
        "PENDING_REGISTRATION",
        ["champion"],
    )


def test_models_of_the_catalog_are_listed_shown_and_fetched(start: Start, dev: Databricks, tmp_path: Path) -> None:
    with DatabricksSeeder(dev) as seeder:
        models_by_rest.fill(seeder, FOLDER, aliases=False)
    assert [one.model.name for one in runsync.list_models("databricks://dev").models] == [
        "churn",
        "dev.ml.churn",
        "empty",
    ]
    assert [one.model.name for one in runsync.list_models("databricks-uc://dev").models] == ["dev.ml.churn"]
    got = runsync.get_model("databricks://dev", "dev.ml.churn@champion", into=tmp_path / "model")
    assert (got.model, len(got.files)) == ("dev.ml.churn/4", 3)
    assert (tmp_path / "model" / "data" / "a" / "weights.bin").read_bytes() == b"weights 4" * 50


@pytest.mark.slow
def test_a_sync_that_ends_after_any_write_is_finished_by_the_next(
    start: Start, dev: Databricks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    prod, stops = begun(start), 0
    while True:
        prod.faults.add(Fault("drop", "P* /api/2.0/*[!h]", skip=2 + stops // 8, times=None))
        report = runsync.sync("databricks://dev", "databricks://prod", workers=2, accept=ACCEPT)
        prod.faults.clear()
        if not report.stopped and not report.failed and not report.problems:
            break
        stops += 1
        assert stops < 80
    assert stops > 3
    assert unity_models.told(prod) == unity_models.told(dev)


@pytest.mark.slow
def test_nothing_is_made_twice_where_answers_are_lost(start: Start, dev: Databricks) -> None:
    prod = begun(start)
    lost = prod.faults.add(Fault("lose", "P* /api/2.0/mlflow/*", chance=0.3, times=None))
    report = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    prod.faults.clear()
    assert (report.problems, report.failed, lost.met > 0) == ([], [], True)
    assert unity_models.told(prod) == unity_models.told(dev)


@pytest.mark.slow
def test_models_of_a_server_go_to_the_catalog_and_back_to_a_server(
    start: Start, start_server: Callable[..., MlflowServer]
) -> None:
    here, there = start_server("3"), start_server("3")
    begun(start, cloud="azure")
    with Seeder(here.wait().url) as seeder:
        models_by_rest.fill(seeder)
    report = runsync.sync(here.url, "databricks://prod", rename=RENAME, prefix=FOLDER, accept=ACCEPT)
    assert (report.problems, report.failed, report.exit_code) == ([], [], 0)
    back = {new: old for old, new in RENAME.items()}
    report = runsync.sync("databricks-uc://prod", there.wait().url, rename=back, accept=ACCEPT)
    assert (report.problems, report.failed, report.exit_code) == ([], [], 0)
    with Seeder(here.url) as one, Seeder(there.url) as other:
        before, after = (models_by_rest.told(seeder, lambda root: {}) for seeder in (one, other))
    assert after == before
    fetched = runsync.get_model(there.url, "churn@champion", into=here.folder / "fetched")
    assert (len(fetched.files), (here.folder / "fetched/data/weights.bin").read_bytes()) == (2, b"second" * 100)


def test_a_model_is_promoted_into_the_catalog_once_and_its_alias_moves_last(start: Start, dev: Databricks) -> None:
    prod = begun(start, cloud="adls")
    for action in ("promoted", "already there"):
        report = runsync.promote(
            "databricks://dev",
            "databricks-uc://prod",
            model="dev.ml.churn/4",
            to_model="prod.ml.churn",
            to_experiment=f"{FOLDER}promoted",
        )
        assert (report.action, report.version, report.exit_code) == (action, 1, 0)
    model = prod.unity.models["prod.ml.churn"]
    assert (model.aliases, model.versions[1].status) == ({"champion": 1}, "READY")
    assert files_of(prod, "prod.ml.churn", 1) == files_of(dev, "dev.ml.churn", 4)
    with pytest.raises(WrongUsage, match="promote it into Unity Catalog, with --to-model"):
        runsync.promote("databricks://dev", "databricks://prod", model="dev.ml.churn/4", to_model="churn")


@pytest.mark.parametrize("source", ["databricks://dev", "bundle"])
def test_a_version_that_was_begun_in_the_catalog_is_finished_by_the_next_promotion(
    start: Start, dev: Databricks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    prod = begun(start, cloud="adls")
    model = "dev.ml.churn/4"
    where: dict[str, Any] = {"to_model": "prod.ml.churn", "to_experiment": f"{FOLDER}promoted"}
    if source == "bundle":
        with DatabricksSeeder(dev) as seeder:
            models_by_rest.fill(seeder, FOLDER, aliases=False)
        model, source = "churn/4", str(tmp_path / "bundle")
        runsync.export("databricks://dev", source, selection=runsync.Selection(models=(model,)))
    prod.faults.add(Fault("drop", "POST *model-versions/finalize", times=None))
    with pytest.raises(runsync.RunsyncError):
        runsync.promote(source, "databricks-uc://prod", model=model, **where)
    there = prod.unity.models["prod.ml.churn"]
    assert (there.aliases, [version.status for version in there.versions.values()]) == ({}, ["PENDING_REGISTRATION"])
    prod.faults.clear()
    report = runsync.promote(source, "databricks-uc://prod", model=model, **where)
    assert (report.action, report.version, report.exit_code) == ("promoted", 1, 0)
    assert (there.aliases, list(there.versions), there.versions[1].status) == ({"champion": 1}, [1], "READY")


@pytest.mark.slow
def test_a_promotion_into_the_catalog_that_ends_after_any_write_is_ended_by_the_next(
    start: Start, dev: Databricks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    prod, stops = begun(start, cloud="adls"), 0
    where: dict[str, Any] = {"to_model": "prod.ml.churn", "to_experiment": f"{FOLDER}promoted"}
    while True:
        prod.faults.add(Fault("drop", "P* /*[!h]", skip=2 + stops // 2, times=None))
        try:
            report = runsync.promote("databricks://dev", "databricks-uc://prod", model="dev.ml.churn/4", **where)
        except runsync.RunsyncError:
            report = None
        prod.faults.clear()
        if report is not None and report.exit_code == 0:
            break
        stops += 1
        assert stops < 100
        model = prod.unity.models.get("prod.ml.churn")
        assert model is None or not model.aliases or files_of(prod, "prod.ml.churn", model.aliases["champion"])
    assert stops > 3
    again = runsync.promote("databricks://dev", "databricks-uc://prod", model="dev.ml.churn/4", **where)
    assert (again.action, again.exit_code) == ("already there", 0)
    model = prod.unity.models["prod.ml.churn"]
    assert (list(model.versions), model.aliases) == ([1], {"champion": 1})
    assert files_of(prod, "prod.ml.churn", 1) == files_of(dev, "dev.ml.churn", 4)


def test_a_model_of_a_workspaces_own_registry_is_promoted_into_the_catalog(start: Start) -> None:
    dev, prod = start("dev"), begun(start)
    with DatabricksSeeder(dev) as seeder:
        models_by_rest.fill(seeder, FOLDER, aliases=False)
    where: dict[str, Any] = {"to_model": "prod.ml.churn", "to_experiment": f"{FOLDER}promoted"}
    for action in ("promoted", "already there"):
        report = runsync.promote("databricks://dev", "databricks-uc://prod", model="churn/4", **where)
        assert (report.action, report.version, report.exit_code) == (action, 1, 0)
    assert files_of(prod, "prod.ml.churn", 1)["data/weights.bin"] == b"second" * 100
    assert prod.unity.models["prod.ml.churn"].aliases == {"champion": 1}


@pytest.mark.parametrize("owner", ["someone@example.com", "3f2a4d6e-1b2c-4d5e-8f90-a1b2c3d4e5f6"])
def test_a_model_of_another_owner_is_told_before_anything_is_written(start: Start, dev: Databricks, owner: str) -> None:
    prod = begun(start)
    promote: dict[str, Any] = {
        "model": "dev.ml.churn/4",
        "to_model": "prod.ml.churn",
        "to_experiment": f"{FOLDER}promoted",
    }
    assert runsync.promote("databricks://dev", "databricks-uc://prod", **promote).action == "promoted"
    model = prod.unity.models["prod.ml.churn"]
    ana = prod.owner
    prod.directory.tokens[prod.token] = (replace(ana, groups=("users",)), prod.directory.tokens[prod.token][1])
    model.owner = owner
    before = len(prod.requests)
    promote["model"] = "dev.ml.churn/1"
    with pytest.raises(runsync.RunsyncError, match=f"prod.ml.churn is owned by {owner}, and not by ana") as error:
        runsync.promote("databricks://dev", "databricks-uc://prod", **promote)
    assert error.value.exit_code == 13
    written = [seen.endpoint for seen in prod.requests[before:] if not seen.endpoint.startswith("GET")]
    assert [endpoint for endpoint in written if not endpoint.endswith(("/search", "credentials-for-read"))] == []
    assert (model.aliases, list(model.versions)) == ({"champion": 1}, [1])
    model.owner = "users"
    assert runsync.promote("databricks://dev", "databricks-uc://prod", **promote).version == 2


def test_who_may_make_no_model_is_told_before_anything_is_written(start: Start, dev: Databricks) -> None:
    prod = begun(start)
    ana = prod.owner
    prod.directory.tokens[prod.token] = (replace(ana, groups=("users",)), prod.directory.tokens[prod.token][1])

    def promote(name: str) -> str:
        where = ("databricks://dev", "databricks-uc://prod")
        return runsync.promote(*where, model="dev.ml.churn/4", to_model=name, to_experiment=f"{FOLDER}promoted").action

    prod.unity.schemas["prod.ml"] = {"bo@example.com", "cy@example.com"}
    before = len(prod.requests)
    with pytest.raises(runsync.RunsyncError, match=f"{ana.name} is not granted CREATE MODEL on prod.ml") as error:
        promote("prod.ml.one")
    assert error.value.exit_code == 13
    written = [seen.endpoint for seen in prod.requests[before:] if not seen.endpoint.startswith("GET")]
    assert [endpoint for endpoint in written if not endpoint.endswith("/search")] == []
    prod.unity.owners["prod"] = ana.name
    assert promote("prod.ml.one") == "promoted"
    prod.unity.owners.clear()
    prod.unity.schemas["prod.ml"] = {"bo@example.com", "cy@example.com", ana.name}
    assert promote("prod.ml.two") == "promoted"


def test_deletions_are_followed_in_both_registries_and_what_was_made_there_stays(start: Start, dev: Databricks) -> None:
    prod = begun(start)
    with DatabricksSeeder(dev) as seeder:
        models_by_rest.fill(seeder, FOLDER, aliases=False)
        seeder.post("unity-catalog/registered-models/create", name="dev.ml.gone")
        seeder.post("registered-models/create", name="lost")
    whole = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    assert (whole.problems, whole.failed) == ([], [])
    with DatabricksSeeder(prod) as seeder:
        alias = {"name": "dev.ml.churn", "alias": "mine", "version": "3"}
        seeder.post("unity-catalog/registered-models/alias", **alias)
        seeder.post("unity-catalog/registered-models/create", name="dev.ml.own")
    with DatabricksSeeder(dev) as seeder:
        unity = "unity-catalog/"
        seeder.call("DELETE", f"{unity}registered-models/alias", {"name": "dev.ml.churn", "alias": "old"})
        for number in ("1", "3"):
            seeder.call("DELETE", f"{unity}model-versions/delete", {"name": "dev.ml.churn", "version": number})
        seeder.call("DELETE", f"{unity}registered-models/delete-tag", {"name": "dev.ml.churn", "key": "team"})
        seeder.call("DELETE", f"{unity}model-versions/delete-tag", {"name": "dev.ml.churn", "version": "4", "key": "n"})
        seeder.call("DELETE", f"{unity}registered-models/delete", {"name": "dev.ml.gone"})
        seeder.call("DELETE", "registered-models/delete", {"name": "lost"})
        seeder.call("DELETE", "model-versions/delete", {"name": "churn", "version": "3"})
    with pytest.raises(TooManyDeletions, match=r"5 of 13 .* nothing was written"):
        runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT, delete=True)
    report = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT, delete=True, max_delete="100%")
    assert (report.problems, report.failed) == ([], [])
    there = prod.unity.models
    assert set(there) == {"dev.ml.churn", "dev.ml.own"}
    assert (set(there["dev.ml.churn"].versions), there["dev.ml.churn"].aliases) == ({3, 4}, {"champion": 4, "mine": 3})
    told = unity_models.told(prod)["dev.ml.churn"]
    assert (told[1], told[3][4][2]) == ({}, {})
    assert (set(prod.registry), set(prod.registry["churn"].versions)) == ({"churn", "empty"}, {1, 4})
    again = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT, delete=True, max_delete="100%")
    assert (again.failed, again.has_something_to_do) == ([], False)
