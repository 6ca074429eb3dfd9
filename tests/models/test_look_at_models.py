"""Looking at models, and fetching their files, wherever they lie: memory and bundles stand for any place."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from conftest import ROOT, Runner
from support.memory import export_to

import runsync
from runsync.bundle.bundle import create_bundle
from runsync.contract.source import Source
from runsync.errors import NothingSelected, RequestRefused, RunsyncError, WrongUsage
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel, ModelMetric
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.model.selection import Selection
from runsync.testing.memory import START, MemorySource, run_with_metrics, small_source
from runsync.testing.memory_kinds import MemoryModels
from runsync.transfer.model_files import find_model

MLMODEL = b"flavors:\n  python_function:\n    loader_module: net\n"
LOGGED = {"MLmodel": MLMODEL, "model.bin": b"logged" * 50}
OWN = {"MLmodel": MLMODEL, "data/model.bin": b"own" * 50}
IN_RUN = {"net/MLmodel": MLMODEL, "net/model.bin": b"of the run", "net.txt": b"beside it"}
NUMBERS = (1, 2, 4, 10)


def versions() -> list[ModelVersion]:
    """One of each home, with a gap: of a run, a logged model, another version, and of its own."""
    made = {"created_at": START, "updated_at": START, "user_id": "ada"}
    homes = [
        ("runs:/first/net", Home("runs", "first", "net"), "first"),
        ("models:/m-1", Home(LOGGED_MODELS.name, "m-1"), "second"),
        ("models:/churn/2", Home(MODEL_VERSIONS.name, "churn/2"), ""),
        ("s3://old/place", Home(), ""),
    ]
    found = [
        ModelVersion("churn", n, source, home, run_id, **made)  # type: ignore[arg-type]
        for n, (source, home, run_id) in zip(NUMBERS, homes, strict=True)
    ]
    found[2] = replace(found[2], description="The better one", stage="Production", tags={"checked": "yes"})
    return found


def source_with_registry() -> MemorySource:
    source = small_source()
    source.files["first"] |= IN_RUN
    metric = ModelMetric("loss", 0.125, START, 60, "second")
    logged = LoggedModel(
        "m-1", "1", "net", "sklearn", "second", params={"depth": "3"}, metrics=(metric,), created_at=START
    )
    pending = LoggedModel("m-3", "2", status="PENDING")
    source.runs.append(run_with_metrics("maker", {}, model_outputs=()))
    others = [ModelVersion("a.b", 1, "models:/a.b/2", Home(MODEL_VERSIONS.name, "a.b/2"))]
    others += [ModelVersion("a.b", 2, "models:/a.b/1", Home(MODEL_VERSIONS.name, "a.b/1"))]
    others += [ModelVersion("lost", 1, "runs:/gone/net", Home("runs", "gone", "net"), "gone")]
    others += [ModelVersion("lost", 2, "runs:/first/none", Home("runs", "first", "none"), "first")]
    models = [RegisteredModel("churn", "Who leaves", {"team": "growth"}, START, START + 1)]
    models += [RegisteredModel(name) for name in ("a.b", "lost", "empty")]
    own = {versions()[3].key: OWN}
    source.models = {
        LOGGED_MODELS.name: MemoryModels(LOGGED_MODELS, [logged, pending], {("m-1",): LOGGED, ("m-3",): OWN}),
        REGISTERED_MODELS.name: MemoryModels(REGISTERED_MODELS, models),
        MODEL_VERSIONS.name: MemoryModels(MODEL_VERSIONS, [*reversed(versions()), *others], own),
        MODEL_ALIASES.name: MemoryModels(
            MODEL_ALIASES, [ModelAlias("churn", "champion", 4), ModelAlias("churn", "base", 1)]
        ),
    }
    return source


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("registry") / "bundle"
    assert export_to(create_bundle(folder), source_with_registry()).failed == []
    return str(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def valid(name: str, document: dict[str, Any]) -> dict[str, Any]:
    schema = json.loads((ROOT / "schemas" / "v1" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def test_models_are_listed_with_their_newest_version_and_aliases(bundle: str, runsync: Runner) -> None:
    done = runsync("models", "list", bundle, "--json")
    told = valid("models-list-report", json.loads(done.stdout))["models"]
    assert [(m["name"], m["latest_version"], m["versions"], m["aliases"]) for m in told] == [
        ("a.b", 2, 2, {}),
        ("churn", 10, 4, {"base": 1, "champion": 4}),
        ("empty", None, 0, {}),
        ("lost", 2, 2, {}),
    ]
    lines = runsync("models", "list", bundle, "--model", "c*").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["name", "newest", "aliases", "versions", "updated"],
        ["churn", "10", "base=1,", "champion=4", "4", "2023-11-14T22:13:20Z"],
    ]
    none = runsync("models", "list", bundle, "--model", "d*")
    assert (none.returncode, "no registered model matches “d*”" in none.stderr) == (1, True)


def test_a_model_is_shown_with_its_versions_newest_first(bundle: str, runsync: Runner) -> None:
    text = runsync("models", "show", bundle, "churn").stdout
    assert "Who leaves" in text
    assert "growth" in text
    rows = [line.split() for line in text.partition("Versions (4)")[2].splitlines()[2:]]
    assert [row[:4] for row in rows] == [
        ["10", "–", "–", "READY"],
        ["4", "champion", "Production", "READY"],
        ["2", "–", "–", "READY"],
        ["1", "base", "–", "READY"],
    ]
    told = valid("model-report", json.loads(runsync("models", "show", bundle, "churn", "--json").stdout))
    assert ([v["version"] for v in told["versions"]], told["of_version"]) == ([1, 2, 4, 10], None)


@pytest.mark.parametrize(
    ("asked", "home", "run", "files"),
    [
        ("churn/1", ("runs", "first", "net"), "first", ["MLmodel", "model.bin"]),
        ("models:/churn/2", ("logged-models", "m-1", ""), "second", ["MLmodel", "model.bin"]),
        ("churn@champion", ("logged-models", "m-1", ""), None, ["MLmodel", "model.bin"]),
        ("churn/10", ("", "", ""), None, ["MLmodel", "data/model.bin"]),
    ],
)
def test_a_version_is_shown_with_where_its_files_are(
    bundle: str, runsync: Runner, asked: str, home: tuple[str, ...], run: str | None, files: list[str]
) -> None:
    done = runsync("models", "show", bundle, asked, "--json")
    told = valid("model-report", json.loads(done.stdout))["of_version"]
    assert (done.returncode, tuple(told["home"].values())) == (0, home)
    assert (told["run"]["run_id"] if told["run"] else None) == run
    assert [file["path"] for file in told["files"]] == files
    assert all(file["sha256"] for file in told["files"])


def test_a_version_is_shown_for_people(bundle: str, runsync: Runner) -> None:
    text = runsync("models", "show", bundle, "churn@champion").stdout
    for told in (
        "model version churn/4",
        "champion",
        "Production",
        "The better one",
        "checked",
        "logged model m-1 “net”",
    ):
        assert told in text


def test_of_a_version_whose_files_are_gone_the_rest_is_shown(bundle: str, runsync: Runner) -> None:
    done = runsync("models", "show", bundle, "lost/1")
    assert done.returncode == 3
    assert "gone (gone)" in done.stdout
    assert "the files of model version lost/1 are those of run gone, which is not here" in done.stdout


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("churn/1", {"MLmodel": MLMODEL, "model.bin": b"of the run"}),
        ("churn/2", LOGGED),
        ("churn@champion", LOGGED),
        ("churn", OWN),
        ("models:/churn/10", OWN),
        ("models:/m-1", LOGGED),
    ],
)
def test_the_files_of_a_model_are_fetched_wherever_they_lie(
    bundle: str, tmp_path: Path, asked: str, expected: dict[str, bytes]
) -> None:
    into = tmp_path / "model"
    planned = runsync.get_model(bundle, asked, into=into, dry_run=True)
    assert ({file.action for file in planned.files}, into.exists()) == ({"fetched"}, False)
    report = runsync.get_model(bundle, asked, into=into)
    valid("models-get-report", json.loads(json.dumps(report.to_document())))
    assert (report.exit_code, contents(into)) == (0, expected)
    again = runsync.get_model(bundle, asked, into=into, verify=True)
    assert [file.action for file in again.files] == ["kept"] * len(expected)
    (into / "MLmodel").write_bytes(b"x" * len(MLMODEL))
    os.utime(into / "MLmodel", ns=(START, START))
    assert [file.action for file in runsync.get_model(bundle, asked, into=into).files].count("fetched") == 1
    assert contents(into) == expected


@pytest.mark.parametrize("asked", ["churn/1", "churn/2", "churn/4", "churn/10", "models:/m-1"])
def test_a_source_without_hashes_tells_files_apart_by_size_and_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str
) -> None:
    source = source_with_registry()
    name, found = find_model(cast(Source, source), asked)
    from concurrent.futures import ThreadPoolExecutor

    from runsync.model.progress import Silent
    from runsync.runs.fetch import Fetch

    fetch = Fetch(found.files, found.id, found.settled_at, tmp_path / "model", dry_run=False, verify=False)
    with ThreadPoolExecutor(2) as pool:
        for expected in ("fetched", "kept"):
            assert {file.action for file in fetch.all(found.files.list(), pool, Silent())} == {expected}, name


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("a.b", "model versions go in a circle: a.b/2 → a.b/1 → a.b/2"),
        ("lost/1", "the files of model version lost/1 are those of run gone, which is not here"),
        ("lost/2", "model lost/2 has no files: run first has none below “none”"),
        ("empty", "there is no registered model “empty” with a version"),
        ("chrun", "there is no registered model “chrun” with a version: did you mean “churn”?"),
        ("churn/3", "registered model “churn” has no version 3"),
        ("churn@champ", "registered model “churn” has no alias “champ”: did you mean “champion”?"),
        ("models:/m-2", "there is no logged model m-2"),
    ],
)
def test_a_model_without_files_is_refused_and_nothing_is_made(
    bundle: str, tmp_path: Path, asked: str, message: str
) -> None:
    with pytest.raises(NothingSelected) as told:
        runsync.get_model(bundle, asked, into=tmp_path / "model")
    assert str(told.value).startswith(message)
    assert not (tmp_path / "model").exists()


def test_models_of_a_bundle_without_artifacts_have_no_files_to_fetch(tmp_path: Path) -> None:
    export_to(create_bundle(tmp_path / "b"), source_with_registry(), artifacts=False)
    for asked in ("churn/2", "churn/10"):
        with pytest.raises(RequestRefused, match="are not here"):
            runsync.get_model(str(tmp_path / "b"), asked, into=tmp_path / "model")
    assert runsync.show_model(str(tmp_path / "b"), "churn/2").exit_code == 3


def test_files_of_a_model_that_is_not_ready_are_fetched_with_a_note(
    bundle: str, tmp_path: Path, runsync: Runner
) -> None:
    done = runsync("models", "get", bundle, "models:/m-3", "--into", tmp_path / "model")
    assert (done.returncode, contents(tmp_path / "model")) == (0, OWN)
    assert "Note: m-3 is PENDING, not READY" in done.stdout


def test_models_are_fetched_into_a_folder(bundle: str) -> None:
    with pytest.raises(WrongUsage, match="not to s3://there"):
        runsync.get_model(bundle, "churn", into="s3://there")


def test_versions_are_compared_with_what_their_runs_and_logged_models_tell(bundle: str, runsync: Runner) -> None:
    done = runsync("models", "compare", bundle, "churn/1", "churn/2", "churn@champion", "--json")
    told = valid("models-compare-report", json.loads(done.stdout))
    assert told["versions"] == ["churn/1", "churn/2", "churn/4"]
    rows = {(row["group"], row["key"]): row["values"] for row in told["rows"]}
    assert rows["details", "aliases"] == ["base", None, "champion"]
    assert rows["details", "stage"] == [None, None, "Production"]
    assert rows["details", "run"] == ["first", "second", None]
    assert rows["params", "depth"] == [None, "3", None]
    assert rows["metrics", "loss"] == ["NaN", 0.125, None]
    assert rows["tags", "checked"] == [None, None, "yes"]
    text = runsync("models", "compare", bundle, "churn/1", "churn/2", "--diff-only").stdout
    assert "churn/1" in text
    assert "2 versions" in text
    assert "stage" not in text


def test_inspect_experiments_show_and_runs_show_tell_of_models(tmp_path: Path, runsync: Runner) -> None:
    source = source_with_registry()
    from runsync.model.run import ModelLink

    links = (ModelLink("m-1", 7), ModelLink("m-9", 8))
    source.runs = [replace(run, model_outputs=links) if run.run_id == "second" else run for run in source.runs]
    export_to(create_bundle(tmp_path / "b"), source)
    bundle = str(tmp_path / "b")
    inspected = runsync("inspect", bundle).stdout
    for told in ("2 logged models", "4 registered models", "8 model versions", "2 model aliases"):
        assert told in inspected
    assert " ".join(runsync("experiments", "show", bundle, "kept").stdout.split()).count("logged models 1") == 1
    shown = valid("run-report", json.loads(runsync("runs", "show", bundle, "second", "--json").stdout))
    assert [(m["model_id"], m["step"], m["name"], m["status"]) for m in shown["logged_models"]] == [
        ("m-1", 7, "net", "READY"),
        ("m-9", 8, "", ""),
    ]
    assert shown["model_versions"] == [{"name": "churn", "version": "2", "stage": ""}]
    text = runsync("runs", "show", bundle, "second").stdout
    assert "model m-1 “net” (output, step 7, sklearn, READY)" in text
    assert "registered as churn, version 2" in text


def test_runs_of_a_bundle_are_found_by_their_model_versions(bundle: str, tmp_path: Path) -> None:
    def found(where: str, filter: str) -> set[str]:
        return {run.run_id for run in runsync.list_runs(where, selection=Selection(filter=filter)).runs}

    assert found(bundle, "has_model_version") == {"first", "second"}
    assert found(bundle, "NOT has_model_version") == {"third", "maker"}
    export_to(create_bundle(tmp_path / "b"), source_with_registry(), selection=Selection(kinds=("runs",)))
    with pytest.raises(WrongUsage, match="in a bundle that holds them"):
        found(str(tmp_path / "b"), "has_model_version")


@pytest.mark.parametrize("asked", ["models:/churn@champion", "models:/churn/1", "models:/m-1"])
def test_a_snippet_of_a_model_in_a_bundle_fetches_it_and_loads_it(
    bundle: str, tmp_path: Path, asked: str, runsync: Runner
) -> None:
    report = valid("snippet-report", json.loads(runsync("runs", "snippet", bundle, asked, "--json").stdout))
    compile(report["code"], "snippet", "exec")
    assert (report["uri"], report["flavors"]) == (asked, ["python_function"])
    command = next(line for line in report["code"].splitlines() if "models get" in line).removeprefix("#   runsync ")
    assert asked in command
    done = runsync(*command.split(), cwd=tmp_path)
    assert (done.returncode, len(list(tmp_path.rglob("MLmodel")))) == (0, 1)


def test_a_snippet_of_a_model_without_a_model_file_is_refused(bundle: str) -> None:
    with pytest.raises(RunsyncError, match="model lost/2 has no MLmodel file"):
        runsync.snippet(bundle, "models:/lost/2")
