"""The verbs take their options as keywords, which are declared once."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runsync
from runsync.errors import WrongUsage
from runsync.model.option import keywords
from runsync.options import CopyOptions
from runsync.runs.options import CompareOptions, GetOptions, ReproduceOptions
from runsync.transfer import options

VERBS: list[tuple[Callable[..., Any], type]] = [
    (runsync.export, options.ExportOptions),
    (runsync.import_, options.BundleImportOptions),
    (runsync.sync, options.SyncOptions),
    (runsync.verify, options.VerifyOptions),
    (runsync.diff, options.DiffOptions),
    (runsync.copy, CopyOptions),
    (runsync.repair, options.RepairOptions),
    (runsync.compare_runs, CompareOptions),
    (runsync.get_artifacts, GetOptions),
    (runsync.reproduce, ReproduceOptions),
]
BUNDLE = Path(__file__).parents[2] / "examples" / "bundle"


@pytest.mark.parametrize(("verb", "group"), VERBS)
def test_an_option_that_a_verb_does_not_take_is_named(verb: Callable[..., Any], group: type) -> None:
    name = verb.__name__
    with pytest.raises(TypeError, match=f"^{name} takes no option “worker”: did you mean “workers”\\?$"):
        verb("here", "there", worker=1)
    with pytest.raises(TypeError, match=f"^{name} takes no option “colour”$"):
        verb("here", "there", colour="red")


def test_a_path_is_not_taken_for_a_switch(tmp_path: Path) -> None:
    verb: Callable[..., Any] = runsync.sync
    with pytest.raises(TypeError, match=r"^sync takes True or False for “artifacts”, not str$"):
        verb(str(BUNDLE), str(tmp_path / "mlruns"), artifacts=str(tmp_path / "artifacts"))


@pytest.mark.parametrize(("verb", "group"), VERBS)
def test_help_in_python_has_every_option_with_its_default(verb: Callable[..., Any], group: type) -> None:
    parameters = inspect.signature(verb).parameters
    for each in keywords(group):
        assert parameters[each.name].default == each.default
        if each.option:
            assert f"{each.name} ({each.flag}): {each.option.help}" in (verb.__doc__ or "")


def test_an_option_of_one_kind_is_checked_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="“PDF” is no format of notebooks"):
        runsync.export("http://127.0.0.1:9", tmp_path / "bundle", notebooks="PDF")
    assert list(tmp_path.iterdir()) == []


def test_places_may_be_named() -> None:
    verb: Callable[..., runsync.VerifyReport] = runsync.verify
    assert verb(source=str(BUNDLE), target=str(BUNDLE), workers=1).differences == []


def test_what_need_not_be_given_may_stand_behind_the_place_or_have_its_name() -> None:
    one = runsync.compare_runs(str(BUNDLE), ["nightly"], artifacts=False)
    compare: Callable[..., runsync.CompareReport] = runsync.compare_runs
    other = compare(where=str(BUNDLE), runs=["nightly"])
    assert [s.run.name for s in one.subjects] == [s.run.name for s in other.subjects]
    assert len(runsync.compare_runs(str(BUNDLE)).subjects) > 1
