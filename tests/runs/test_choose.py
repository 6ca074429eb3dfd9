"""What hangs below runs, and in which order it goes; no server needed."""

import random

import pytest

from runsync.bundle.address import Access
from runsync.cli import say
from runsync.cli.change_text import lines, pairs
from runsync.errors import WrongUsage
from runsync.model.identity import PARENT
from runsync.model.place import Place
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.runs.bulk import checked
from runsync.runs.change import DELETE, ChangeReport, Item
from runsync.runs.choose import children_first, nested_among, refuse_everything
from runsync.transfer.places import open_editor


def run(id: str, parent: str = "") -> Run:
    return Run(id, "1", tags={PARENT: parent} if parent else {})


FAMILY = [run("a"), run("b", "a"), run("c", "b"), run("d", "c"), run("e", "a"), run("x"), run("y", "x")]


def test_all_that_is_nested_in_a_run_is_found_at_any_depth() -> None:
    shuffled = random.Random(1).sample(FAMILY, len(FAMILY))
    assert {r.run_id for r in nested_among(shuffled, {"a"}, ["a"])} == set("bcde")
    assert {r.run_id for r in nested_among(shuffled, {"c"}, ["c"])} == {"d"}
    assert nested_among(shuffled, {"d"}, ["d"]) == []


def test_what_was_chosen_itself_does_not_come_along_a_second_time() -> None:
    assert {r.run_id for r in nested_among(FAMILY, {"a", "b"}, ["a", "b"])} == set("cde")


def test_children_go_before_their_parents() -> None:
    waves = [{r.run_id for r in wave} for wave in children_first(FAMILY)]
    assert waves == [{"d"}, {"c"}, {"b", "e", "y"}, {"a", "x"}]


def test_a_ring_of_parents_ends() -> None:
    ring = [run("a", "c"), run("b", "a"), run("c", "b"), run("self", "self")]
    assert {r.run_id for r in nested_among(ring, {"a"}, ["a"])} == {"b", "c"}
    assert sum(map(len, children_first(ring))) == 4


def test_everything_is_not_a_selection() -> None:
    for selection in (Selection(), Selection(state="active")):
        with pytest.raises(WrongUsage, match="say which runs to delete"):
            refuse_everything(selection, "delete")
    for selection in (
        Selection(experiments=("a",)),
        Selection(runs=("a",)),
        Selection(filter="metrics.x > 1"),
        Selection(until=1),
    ):
        refuse_everything(selection, "delete")


@pytest.mark.parametrize("wrong", [0, -1, 10_001, True, 2.5])
def test_max_runs_is_positive_and_at_most_10000(wrong: int) -> None:
    with pytest.raises(WrongUsage, match="max_runs is a positive number, at most 10000"):
        checked(wrong)
    assert [checked(None), checked(1), checked(10_000)] == [10_000, 1, 10_000]


def test_a_bundle_is_never_changed() -> None:
    with (
        pytest.raises(WrongUsage, match=r"only a workspace can be changed \(a bundle never is\)"),
        open_editor("backup", access=Access(), workers=1),
    ):
        pass


def test_names_from_a_server_cannot_move_the_cursor() -> None:
    report = ChangeReport("runs delete", Place("MLflow server", "http://x"))
    report.items = [Item("run", "1", "evil\x1b[2J\r\n", "home\x07", DELETE)]
    text = "\n".join(map(say.clean, lines(report)))
    assert "evil\\x1b[2J\\r\\n" in text
    assert "\x1b" not in text


def test_a_tag_s_value_may_hold_an_equals_sign() -> None:
    assert pairs(("a=b=c", "d=")) == {"a": "b=c", "d": ""}
