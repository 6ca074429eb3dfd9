"""Which experiments a text means: an ambiguous one is refused with all that it may mean, a missing one with a guess."""

import pytest

from runsync.errors import Ambiguous, NothingSelected
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.named import exactly, meant, meant_to_change
from runsync.model.naming import Naming
from runsync.model.selection import Selection

TWO, NAMED_TWO = Experiment("2", "churn"), Experiment("5", "2")
OLD, NEW = Experiment("7", "vision", DELETED), Experiment("8", "vision")
EVERY = [TWO, NAMED_TWO, OLD, NEW, Experiment("9", "/Users/ada/churn-2")]


@pytest.mark.parametrize(
    "choose",
    [
        lambda text: Selection((text,)).choose(EVERY),
        lambda text: Selection((text,), state="active").choose(EVERY),
        lambda text: meant_to_change(EVERY, text, ACTIVE),
        lambda text: Naming({text: "new"}).among(EVERY),
    ],
)
def test_a_text_that_is_the_id_of_one_and_the_name_of_another_is_refused_with_both(choose: "object") -> None:
    with pytest.raises(Ambiguous) as caught:
        choose("2")  # type: ignore[operator]
    assert caught.value.exit_code == 2
    assert caught.value.lines == (
        "“2” means 2 experiments: say which by id",
        "  id:2  “churn” (active)",
        "  id:5  “2” (active)",
    )
    choose("id:2")  # type: ignore[operator]
    choose("name:2")  # type: ignore[operator]


def test_id_and_name_say_which() -> None:
    assert exactly(EVERY, "id:2") == [TWO]
    assert exactly(EVERY, "name:2") == [NAMED_TWO]
    assert exactly(EVERY, "id:5") == exactly(EVERY, "5") == [NAMED_TWO]
    assert exactly([Experiment("1", "id:x")], "id:x") == [Experiment("1", "id:x")]
    with pytest.raises(Ambiguous):
        exactly([TWO, Experiment("6", "id:2")], "id:2")


def test_a_name_that_several_share_means_all_of_them_and_changes_the_one_that_can_be_changed() -> None:
    assert meant(EVERY, "vision") == [OLD, NEW]
    assert meant_to_change(EVERY, "vision", ACTIVE) == [NEW]
    assert meant_to_change(EVERY, "vision", DELETED) == [OLD]
    with pytest.raises(Ambiguous, match="“vision” means 2 experiments"):
        meant_to_change([NEW, Experiment("10", "vision")], "vision", ACTIVE)
    assert meant_to_change(EVERY, "v*", ACTIVE) == [OLD, NEW]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("chrun", "; did you mean “churn”?"),
        ("CHURN", "; did you mean “churn”?"),
        ("churn-2", "; did you mean “/Users/ada/churn-2” or “churn”?"),
        ("nothing like it", ""),
    ],
)
def test_an_unknown_name_is_told_with_what_is_like_it(text: str, advice: str) -> None:
    with pytest.raises(NothingSelected) as caught:
        meant(EVERY, text)
    assert str(caught.value) == f"no experiment has the name or id “{text}”, or matches it{advice}"


def test_an_experiment_of_another_state_is_told_as_such() -> None:
    with pytest.raises(NothingSelected, match="experiment “gone” is deleted: --state all takes it too"):
        Selection(("gone",), state="active").choose([Experiment("1", "gone", DELETED)])


def test_a_path_of_databricks_may_begin_with_workspace() -> None:
    assert [e.experiment_id for e in meant(EVERY, "/Workspace/Users/ada/churn-2")] == ["9"]
