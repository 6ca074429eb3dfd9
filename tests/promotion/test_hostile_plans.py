"""Plans of promotions that somebody wrote to do harm, or that were cut: a documented exit code and one line."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.attempts import attempt, wrong_with
from support.hostile import ODD, fields, put
from support.memory import export_into
from support.memory_models import source_with_models

from runsync.bundle import schemas
from runsync.promotion.plan import KIND


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, a file store with an older version, and a plan to promote the next one into it."""
    place = tmp_path_factory.mktemp("made")
    export_into(place / "bundle", source_with_models())
    for model, *further in (("churn/12",), ("churn/1", "--plan", place / "plan.json")):
        done = attempt("promote", place / "bundle", place / "registry", model, *further)
        assert done.code == 0, done
    return place


def faults_of(documents: Iterator[tuple[str, Any]], made: Path, place: Path) -> list[str]:
    """What goes wrong with these plans, each by itself; one that does as it says has a registry of its own."""
    found = []
    for name, document in documents:
        registry = place / "registry"
        shutil.rmtree(registry, ignore_errors=True)
        shutil.copytree(made / "registry", registry)
        text = document if isinstance(document, str) else json.dumps(document)
        (place / "plan.json").write_text(text.replace(str(made / "registry"), str(registry)), "utf-8")
        if wrong := wrong_with(attempt("promote", "--apply", place / "plan.json")):
            found.append(f"{name}: {wrong[-700:]}")
    found += [f"escaped: {file}" for file in place.iterdir() if file.name not in ("plan.json", "registry")]
    return found


def odd_fields(made: Path) -> Iterator[tuple[str, Any]]:
    for path in fields(schemas.schema(KIND)):
        for name, value in ODD.items():
            document = json.loads((made / "plan.json").read_text())
            put(document, path, value)
            yield f"{name} at {'/'.join(map(str, path))}", document


def particular(made: Path) -> Iterator[tuple[str, Any]]:
    text = (made / "plan.json").read_text()
    plan = json.loads(text)
    yield from ((f"cut to {length}", text[:length]) for length in (0, 1, len(text) // 2, len(text) - 3))
    yield "nested without end", "[" * 100_000
    yield "nested without end, whole", text.replace('"churn/1"', "[" * 100_000 + "]" * 100_000)
    yield "half a character", text.replace('"churn/1"', '"\\ud800"')
    yield "a number without end", text.replace('"churn/1"', "9" * 100_000)
    yield "no promotions", plan | {"promotions": []}
    yield "no targets", plan | {"targets": [], "promotions": []}
    yield "more targets than promotions", plan | {"targets": plan["targets"] * 3}
    yield "the source as its target", plan | {"targets": [plan["source"]]}
    yield "another target than was looked at", plan | {"targets": [str(made / "nowhere" / ".." / "registry")]}
    for name in ("..", "../../escaped", "a/b", "/tmp/escaped", "a\0b", "a\nb", "x" * 5000, "\x1b]0;x\x07"):
        options = plan["options"]
        yield f"to the model {name[:20]!r}", plan | {"options": options | {"to_model": name}}
        yield f"to the experiment {name[:20]!r}", plan | {"options": options | {"to_experiment": name}}
        yield f"to the alias {name[:20]!r}", plan | {"options": options | {"alias": name}}
        yield f"the model {name[:20]!r}", plan | {"model": name}
        yield f"from {name[:20]!r}", plan | {"source": name}
        yield f"to {name[:20]!r}", plan | {"targets": [name]}


def test_the_plan_that_they_are_made_of_is_a_good_one(made: Path, tmp_path: Path) -> None:
    whole = json.loads((made / "plan.json").read_text())
    assert faults_of(iter([("whole", whole)]), made, tmp_path) == []
    done = attempt("promotions", tmp_path / "registry", "churn", "--json")
    assert [record["version"] for record in json.loads(done.stdout)["records"]] == [1, 2]


@pytest.mark.long
def test_no_hostile_plan_does_harm(made: Path, tmp_path: Path) -> None:
    assert faults_of(particular(made), made, tmp_path) == []


@pytest.mark.long
def test_a_sample_of_odd_values_in_a_plan_does_no_harm(made: Path, tmp_path: Path) -> None:
    assert faults_of(iter(list(odd_fields(made))[3::41]), made, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_no_odd_value_in_a_plan_does_harm(made: Path, tmp_path: Path, share: int) -> None:
    assert faults_of(iter(list(odd_fields(made))[share::4]), made, tmp_path) == []


def _endless(place: Path) -> None:
    place.touch()
    os.truncate(place, 10 << 30)


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a device": lambda place: place.symlink_to("/dev/zero"),
    "a link to itself": lambda place: place.symlink_to(place.name),
    "an endless file": _endless,
}


@pytest.mark.parametrize("how", ODD_FILES)
def test_what_is_no_file_is_no_plan(tmp_path: Path, how: str) -> None:
    ODD_FILES[how](tmp_path / "plan.json")
    done = attempt("promote", "--apply", tmp_path / "plan.json")
    assert (done.code, wrong_with(done)) == (2, "")
