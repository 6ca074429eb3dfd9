"""Kinds: their order, their names, and that experiments and runs are among them."""

import pytest

from runsync.errors import WrongUsage
from runsync.kinds import CARRIED, KINDS, NAMES
from runsync.kinds.experiments import EXPERIMENTS
from runsync.kinds.ids import Ids
from runsync.kinds.left_behind import CATEGORIES
from runsync.kinds.options import check_kinds
from runsync.kinds.runs import RUNS
from runsync.model.outcome import CREATE, Outcome
from runsync.model.place import Place
from runsync.transfer.report import TransferReport


def test_what_a_kind_requires_is_carried_before_it() -> None:
    names = [kind.name for kind in CARRIED]
    assert names[0] == EXPERIMENTS.name
    for kind in CARRIED:
        before = names[: names.index(kind.name)]
        assert set(kind.requires) <= {*before, *CATEGORIES.keys() - set(names)}, f"{kind.name} comes too early"
    assert [kind.name for kind in KINDS] == [name for name in names if name not in (EXPERIMENTS.name, RUNS.name)]


def test_names_and_nouns_are_those_of_one_kind_each() -> None:
    assert len({kind.name for kind in CARRIED}) == len({kind.noun for kind in CARRIED}) == len(CARRIED) == len(NAMES)


def test_all_kinds_can_be_asked_for_and_no_others() -> None:
    check_kinds(kind.name for kind in CARRIED)
    with pytest.raises(WrongUsage, match="did you mean “experiments”"):
        check_kinds(["experimnets"])


def test_a_report_counts_and_maps_every_kind_alike() -> None:
    report = TransferReport("import", Place("bundle", "b"), Place("server", "s"))
    report.add(Outcome(kind.noun, "old", "name", CREATE, "new") for kind in CARRIED)
    assert report.id_map == {kind.name: {"old": "new"} for kind in CARRIED}
    assert {name: tally.created for name, tally in report.tallies.items()} == {kind.name: 1 for kind in CARRIED}


def test_ids_of_every_kind_are_resolved_in_one_way() -> None:
    ids = Ids({EXPERIMENTS.name: {"1": "7"}.get})
    ids.add({RUNS.name: {"a": ""}.get})
    assert [ids(kind.name, id) for kind, id in ((EXPERIMENTS, "1"), (EXPERIMENTS, "2"), (RUNS, "a"))] == ["7", None, ""]
    assert {ids(kind.name, "1") for kind in KINDS} == {None}
