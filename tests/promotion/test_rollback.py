"""An alias goes back to the version that it named before, and back again."""

from pathlib import Path

import pytest
from conftest import Runner

import runsync
from promotion.conftest import Promote, Registry


def champion(prod: Registry) -> int | None:
    """The version that is champion."""
    return runsync.show_model(prod.url, "churn").aliases.get("champion")


def test_a_rollback_restores_the_version_before_and_can_be_rolled_back(promote: Promote, prod: Registry) -> None:
    promote("churn/1")
    promote("churn/2")
    foreseen = runsync.rollback(prod.url, "churn@champion", dry_run=True)
    assert (foreseen.action, foreseen.version, champion(prod)) == ("rolled back", 1, 2)
    done = runsync.rollback(prod.url, "churn@champion")
    assert (done.action, done.version, done.promotions[0].holder, champion(prod)) == ("rolled back", 1, 2, 1)
    assert prod.predicts("churn@champion") == {"churn@champion": [2, 4]}
    back = runsync.rollback(prod.url, "churn@champion")
    assert (back.version, champion(prod)) == (2, 2)
    assert [(r.action, r.holder, r.version) for r in runsync.promotions(prod.url, "churn").records] == [
        ("promoted", None, 1),
        ("promoted", 1, 2),
        ("rolled back", 2, 1),
        ("rolled back", 1, 2),
    ]
    assert runsync.rollback(prod.url, "churn@champion", to=2).action == "already there"
    again = promote("churn/1")
    assert (again.action, again.version, prod.versions) == ("promoted", 1, 2)


def test_what_cannot_be_rolled_back_is_told(promote: Promote, prod: Registry, runsync: Runner) -> None:
    def told(*arguments: object) -> tuple[int, str]:
        done = runsync("promote", "--rollback", prod.url, *arguments)
        return done.returncode, done.stderr

    assert told("churn@champion")[0] == 1
    promote("churn/1")
    for arguments, why, code in (
        (("churn@champion",), "named no version before its promotion to 1", 1),
        (("churn@challenger",), "there is no churn@challenger that could be rolled back", 1),
        (("churn@champion", "--to", "7"), "churn/7 is not there", 1),
        (("churn@champion", "--to", "x"), "--to takes one version", 2),
        (("churn",), "say which alias", 2),
        (("churn@champion", "--alias", "x"), "--alias does not go with --rollback", 2),
    ):
        found, text = told(*arguments)
        assert (found, why in text) == (code, True), text


def test_files_that_are_not_whole_any_more_are_never_rolled_back_to(promote: Promote, prod: Registry) -> None:
    promote("churn/1")
    promote("churn/2")
    (factor,) = (file for file in Path(prod.folder).rglob("factor.txt") if file.read_text() == "2")
    factor.write_text("7")
    with pytest.raises(runsync.RunsyncError, match="churn/1 is not whole: its files are not those that were promoted"):
        runsync.rollback(prod.url, "churn@champion")
    for file in Path(prod.folder).rglob("MLmodel"):
        if (file.parent / "artifacts" / "factor.txt").read_text() == "7":
            file.unlink()
    with pytest.raises(runsync.RunsyncError, match="it has no MLmodel"):
        runsync.rollback(prod.url, "churn@champion")
    assert champion(prod) == 2
