"""Models in the files of a store: what is broken, hostile or odd of one is named, and all others are read."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runsync.errors import RequestRefused
from runsync.kinds.kind import Entity
from runsync.kinds.logged_models import LoggedModel, ModelMetric
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import Home, ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.workspaces.direct.models import DELETED, Write
from runsync.workspaces.files import open_store
from runsync.workspaces.files.models import FileModels
from runsync.workspaces.sql.model_fits import fitted_model
from workspaces.files.small import make_store

IDS = [f"m-{number:032x}" for number in range(4)]
RUN = "a" * 32


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with experiment 0, three logged models, and two registered models with two versions each."""
    root = tmp_path_factory.mktemp("made") / "mlruns"
    make_store(root)
    models = models_in(root)
    models.write_logged_models([Write(logged(id), f"{root}/0/models/{id}/artifacts") for id in IDS[:3]])
    models.write_registered_models([Write(RegisteredModel(name, "about", {"k": "v"}, 1, 2)) for name in ("one", "two")])
    models.write_model_versions([Write(version(name, n), f"{root}") for name in ("one", "two") for n in (1, 2)])
    models.write_model_aliases([ModelAlias(name, "best", 2) for name in ("one", "two")])
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "mlruns"))


def models_in(root: Path) -> FileModels:
    models = open_store(root, create=False).models
    assert isinstance(models, FileModels)
    return models


def logged(model_id: str, **more: Any) -> LoggedModel:
    points = (ModelMetric("loss", 0.5, 1, 1, RUN), ModelMetric("loss", float("nan"), 2, 2, RUN, "data", "d1"))
    told = {"params": {"a/b": "1"}, "tags": {"t": "ü"}, "metrics": points, "created_at": 5, "updated_at": 6, **more}
    return LoggedModel(model_id, "0", "net", "ckpt", RUN, **told)


def version(name: str, number: int, **more: Any) -> ModelVersion:
    return ModelVersion(name, number, "s3://elsewhere", tags={"n": str(number)}, created_at=7, updated_at=8, **more)


def read(models: FileModels) -> dict[str, list[Any]]:
    """All that can be read of each kind."""
    return {
        "logged": [one.item for one in models.logged_models(["0"])],
        "registered": list(models.registered_models()),
        "versions": [one.item for one in models.model_versions()],
        "aliases": list(models.model_aliases()),
    }


def told_broken(models: FileModels) -> dict[str, str]:
    """Why the others cannot, by name."""
    return {name: why for kind in models.kinds for name, why in models.unreadable(kind).items()}


def test_what_is_written_is_read_again(root: Path) -> None:
    found = read(models_in(root))
    assert found["logged"] == [logged(id) for id in IDS[:3]]
    assert [(m.name, m.description, m.tags, m.last_version) for m in found["registered"]] == [
        ("one", "about", {"k": "v"}, 2),
        ("two", "about", {"k": "v"}, 2),
    ]
    assert found["versions"] == [version(name, n) for name in ("one", "two") for n in (1, 2)]
    assert found["aliases"] == [ModelAlias("one", "best", 2), ModelAlias("two", "best", 2)]
    assert told_broken(models_in(root)) == {}


def hidden(name: str) -> dict[str, str]:
    """What cannot be carried without its registered model."""
    return dict.fromkeys((f"{name}/1", f"{name}/2", f"{name}@best"), "their registered models cannot be read")


BREAKS: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "a torn meta.yaml of a logged model": (
        lambda root: (root / "0" / "models" / IDS[0] / "meta.yaml").write_text("{"),
        {IDS[0]: "it is no YAML"},
    ),
    "a meta.yaml of another logged model": (
        lambda root: (root / "0" / "models" / IDS[0]).rename(root / "0" / "models" / IDS[3]),
        {IDS[3]: "that of logged model"},
    ),
    "a logged model behind a link": (
        lambda root: linked(root / "0" / "models" / IDS[0]),
        {IDS[0]: "links are not followed"},
    ),
    "a metric that is none": (
        lambda root: (root / "0" / "models" / IDS[0] / "metrics" / "loss").write_text("1 2\n"),
        {f"{IDS[0]}: metric loss": "line 1"},
    ),
    "a param that is a pipe": (
        lambda root: os.mkfifo(root / "0" / "models" / IDS[0] / "params" / "p"),
        {f"{IDS[0]}: param p": "params/p is no plain file"},
    ),
    "a tag that is a link": (
        lambda root: (root / "models" / "one" / "tags" / "x").symlink_to("/etc/passwd"),
        {"one: tag x": "tags/x is a link"},
    ),
    "a tag of a version that is no text": (
        lambda root: (root / "models" / "one" / "version-1" / "tags" / "n").write_bytes(b"\xff"),
        {"one/1: tag n": "UTF-8"},
    ),
    "a registered model without meta.yaml": (
        lambda root: (root / "models" / "one" / "meta.yaml").unlink(),
        {"one": "it has no meta.yaml", **hidden("one")},
    ),
    "the meta.yaml of another registered model": (
        lambda root: (root / "models" / "one").rename(root / "models" / "other"),
        {"other": "that of registered model 'one'", **hidden("other")},
    ),
    "the meta.yaml of another version": (
        lambda root: (root / "models" / "one" / "version-1").rename(root / "models" / "one" / "version-3"),
        {"one/3": "that of version '1'"},
    ),
    "an empty version": (
        lambda root: (root / "models" / "one" / "version-1" / "meta.yaml").write_text(""),
        {"one/1": "it is empty"},
    ),
    "a version with YAML aliases": (
        lambda root: (root / "models" / "one" / "version-1" / "meta.yaml").write_text("a: &x 1\nb: *x\n"),
        {"one/1": "YAML aliases"},
    ),
    "an alias of nothing": (
        lambda root: (root / "models" / "one" / "aliases" / "best").write_text("../two"),
        {"one@best": "names no version"},
    ),
    "an alias that is a pipe": (
        lambda root: os.mkfifo(root / "models" / "one" / "aliases" / "odd"),
        {"one@odd": "no plain file"},
    ),
}


def linked(folder: Path) -> None:
    """Something is moved away, and a link leads there."""
    folder.symlink_to(folder.rename(folder.parents[3] / "away"))


@pytest.mark.parametrize("case", BREAKS)
def test_what_is_broken_of_one_is_named_and_all_others_are_read(case: str, root: Path) -> None:
    act, expected = BREAKS[case]
    before = read(models_in(root))
    act(root)
    for path in root.rglob("meta.yaml"):  # an empty one that is young is looked at again
        os.utime(path, (0, 0))
    models = models_in(root)
    after = read(models)
    found = told_broken(models)
    assert found.keys() == expected.keys()
    assert all(why in found[name] for name, why in expected.items()), found
    others = {kind: [one for one in items if not is_of_one(one)] for kind, items in before.items()}
    assert {kind: [one for one in items if not is_of_one(one)] for kind, items in after.items()} == others


def test_a_model_is_read_without_the_piece_that_cannot_be(root: Path) -> None:
    for case in ("a param that is a pipe", "a metric that is none", "a tag that is a link"):
        BREAKS[case][0](root)
    BREAKS["a tag of a version that is no text"][0](root)
    found = read(models_in(root))
    assert found["logged"][0] == logged(IDS[0], metrics=())
    assert (len(found["registered"]), found["registered"][0].tags) == (2, {"k": "v"})
    assert found["versions"][0] == replace(version("one", 1), tags={})
    assert len(found["aliases"]) == 2


def test_doctor_names_what_is_broken_in_the_registry(root: Path) -> None:
    store = open_store(root, create=False)
    assert [finding.topic for finding in store.examine()] == ["store", "identity"]
    (root / "models" / "one" / "version-1" / "meta.yaml").write_text("{")
    *_, finding = open_store(root, create=False).examine()
    assert (finding.topic, "one/1 (it is no YAML" in finding.told) == ("model registry", True)


def test_a_registry_apart_from_runs_is_a_store_of_its_own(root: Path) -> None:
    for name in ("0", ".trash"):
        shutil.rmtree(root / name)
    found = read(models_in(root))
    assert [model.name for model in found["registered"]] == ["one", "two"]
    assert [version.name for version in found["versions"]] == ["one/1", "one/2", "two/1", "two/2"]


def is_of_one(item: Entity) -> bool:
    """What the cases break."""
    return item.key[0] in ("one", IDS[0])


def test_file_managers_may_leave_what_they_like(root: Path) -> None:
    before = read(models_in(root))
    for folder in (
        "models",
        "models/one",
        "models/one/tags",
        "models/one/aliases",
        "0/models",
        f"0/models/{IDS[0]}/tags",
    ):
        (root / folder / ".DS_Store").write_text("x")
        (root / folder / "@eaDir").mkdir()
    models = models_in(root)
    assert (read(models), told_broken(models)) == (before, {})


@pytest.mark.parametrize("name", ["churn (1)", "churn~", ".hidden", "a b#c?d", "ümlaut", "@x"])
def test_odd_names_of_registered_models_are_kept(name: str, root: Path) -> None:
    models = models_in(root)
    assert models.fitted(RegisteredModel(name)).why_not == ""
    models.write_registered_models([Write(RegisteredModel(name, "odd", {"a/b": "c"}, 1, 2))])
    models.write_model_versions([Write(version(name, 1), "s3://elsewhere")])
    models.write_model_aliases([ModelAlias(name, "best", 1)])
    found = read(models_in(root))
    assert [m for m in found["registered"] if m.name == name] == [RegisteredModel(name, "odd", {"a/b": "c"}, 1, 2, 1)]
    assert [a for a in found["aliases"] if a.model == name] == [ModelAlias(name, "best", 1)]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/etc", "50%", "a:b", "a\0b", " ", "x" * 256, "\udcff"])
def test_names_that_no_folder_has_are_refused_and_lead_nowhere(name: str, root: Path) -> None:
    models = models_in(root)
    for item in (RegisteredModel(name), version(name, 1), ModelAlias(name, "best", 1)):
        assert models.fitted(item).why_not
    with pytest.raises(RequestRefused):
        models.write_registered_models([Write(RegisteredModel(name))])
    assert list(models.registered_models([name])) == []
    assert list(models.model_versions([name])) == []
    assert not list(root.rglob(".runsync*"))


def test_what_mlflow_could_not_read_in_a_file_store_is_left_out_and_named(root: Path) -> None:
    models = models_in(root)
    points = (ModelMetric("loss", 1.0, 1, 1, RUN, "held out", "d"), ModelMetric("a(b)", 1.0, 1, 1, RUN))
    item = logged(IDS[3], params={"a": "1", "a/b": "2", "x(y)": "3"}, metrics=points)
    fitted = models.fitted(item)
    assert fitted.item == logged(IDS[3], params={"a": "1"}, metrics=(ModelMetric("loss", 1.0, 1, 1, RUN),))
    assert {(p.kind, p.name) for p in fitted.left_out} == {
        ("param", "a/b"),
        ("param", "x(y)"),
        ("metric", "loss"),
        ("metric", "a(b)"),
    }


def test_a_dataset_with_a_space_in_its_name_is_read_as_mlflow_writes_it(root: Path) -> None:
    (root / "0" / "models" / IDS[0] / "metrics" / "loss").write_text(f"1 0.5 1 {RUN} held out d1\n1 0.25 1 {RUN}\n")
    (found, *_) = models_in(root).logged_models(["0"])
    assert found.item.metrics == (
        ModelMetric("loss", 0.25, 1, 1, RUN),
        ModelMetric("loss", 0.5, 1, 1, RUN, "held out", "d1"),
    )


def test_the_last_number_is_kept_and_a_deleted_version_may_come_back(root: Path) -> None:
    models = models_in(root)
    models.write_registered_models([Write(RegisteredModel("one", "new", {}, 1, 3, last_version=5))])
    (one,) = models.registered_models(["one"])
    assert (one.last_version, one.description, one.tags) == (5, "new", {"k": "v"})
    assert [(v.item.version, v.item.stage) for v in models.model_versions(["one"])][-1] == (5, DELETED)
    models.write_model_versions([Write(version("one", 5), "s3://x", version("one", 5, stage=DELETED))])
    assert [v.item for v in models.model_versions(["one"])][-1] == version("one", 5)


def test_points_of_a_model_are_replaced_where_they_are_the_same_and_others_stay(root: Path) -> None:
    models = models_in(root)
    points = (ModelMetric("loss", 0.75, 1, 1, RUN), ModelMetric("loss", 9.0, 9, 9, RUN))
    there = logged(IDS[0])
    models.write_logged_models([Write(logged(IDS[0], metrics=points), "x", there, untagged=("t",))])
    (found, *_) = models.logged_models(["0"])
    assert found.item == logged(IDS[0], tags={}, metrics=(points[0], there.metrics[1], points[1]))


def test_what_a_killed_import_left_is_thrown_away(root: Path) -> None:
    (root / ".runsync.trash" / "0" / "tags").mkdir(parents=True)
    (root / "0" / "models" / IDS[3] / "tags").mkdir(parents=True)
    (root / "0" / "models" / IDS[3] / "tags" / "old").write_text("x")
    models = models_in(root)
    assert told_broken(models) == {}
    models.write_logged_models([Write(logged(IDS[3]), "x")])
    models.write_registered_models([Write(RegisteredModel("three"))])
    assert [one.item for one in models.logged_models((), [IDS[3]])] == [logged(IDS[3])]
    assert not (root / ".runsync.trash").exists()


def test_a_broken_one_is_not_written_over(root: Path) -> None:
    models = models_in(root)
    (root / "models" / "one" / "meta.yaml").write_text("{")
    (root / "0" / "models" / IDS[0] / "meta.yaml").write_text("[")
    with pytest.raises(RequestRefused, match="it is no YAML"):
        models.write_registered_models([Write(RegisteredModel("one"))])
    with pytest.raises(RequestRefused, match="it is no YAML"):
        models.write_logged_models([Write(logged(IDS[0]), "x")])
    assert (root / "models" / "one" / "meta.yaml").read_text() == "{"


def test_a_home_that_is_not_there_is_none(root: Path) -> None:
    models = models_in(root)
    homes = {
        1: f"models:/{IDS[0]}",
        2: f"models:/{IDS[3]}",
        3: "models:/two/1",
        4: f"runs:/{RUN}/x",
        5: "models:/two/9",
    }
    writes = [Write(ModelVersion("one", n, source), source) for n, source in homes.items()]
    models.write_model_versions(writes)
    assert [v.item.home for v in models.model_versions(["one"])] == [
        Home("logged-models", IDS[0]),
        Home(),
        Home("model-versions", "two/1"),
        Home(),
        Home(),
    ]


def test_an_alias_moves_only_from_where_it_is_thought_to_be(root: Path) -> None:
    models = models_in(root)
    assert not models.move_model_alias(ModelAlias("one", "best", 1), 1)
    assert models.move_model_alias(ModelAlias("one", "best", 1), 2)
    assert models.move_model_alias(ModelAlias("one", "new", 2), None)
    models.tag_registered_model("one", {"a/b": "c"})
    models.tag_model_version("one", 2, {"x": "y"})
    assert list(models.model_aliases(["one"])) == [ModelAlias("one", "best", 1), ModelAlias("one", "new", 2)]
    assert [model.tags for model in models.registered_models(["one"])] == [{"k": "v", "a/b": "c"}]
    assert [v.item.tags for v in models.model_versions(["one"])] == [{"n": "1"}, {"n": "2", "x": "y"}]
    with pytest.raises(RequestRefused, match="no longer there"):
        models.tag_model_version("one", 9, {"x": "y"})


def test_values_of_two_datasets_at_one_time_are_one_too_many_for_a_database(root: Path) -> None:
    (root / "0" / "models" / IDS[0] / "metrics" / "loss").write_text(f"1 0.5 1 {RUN} a d1\n1 0.25 1 {RUN} b d1\n")
    (found, *_) = models_in(root).logged_models(["0"])
    one, two = found.item.metrics
    fitted = fitted_model(found.item)
    assert (one.dataset_name, two.dataset_name, fitted.item.metrics) == ("a", "b", (one,))
    assert [(problem.kind, problem.name) for problem in fitted.left_out] == [("metric", "loss")]
