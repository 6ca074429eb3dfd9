"""Experiments of a source and a target find each other by where they came from, and by name only at last."""

from collections.abc import Collection, Mapping

import pytest

from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import FROM, FROM_EXPERIMENT, ORIGIN_EXPERIMENT
from runsync.model.lineage import Lineage
from runsync.model.naming import Naming
from runsync.model.pairing import Pairs, pair

HERE, THERE = "http://source", "http://target"


def copy(
    id: str, name: str, origin: str, address: str = HERE, lineage: tuple[str, str, str] | None = None
) -> Experiment:
    """A copy in the target; `lineage` is the source's id and name, and the name that was given."""
    tags = {ORIGIN_EXPERIMENT: origin, FROM: address}
    return Experiment(id, name, tags=tags | ({FROM_EXPERIMENT: str(Lineage(*lineage))} if lineage else {}))


def paired(
    source: Collection[Experiment],
    target: Collection[Experiment],
    shares: Collection[tuple[str, str]] = (),
    **naming: object,
) -> Pairs:
    """`shares` are those of which runs of the one are in the other; what else is asked for has none."""
    names = Naming(**naming).among(list(source))  # type: ignore[arg-type]
    return pair(
        list(source),
        list(target),
        names,
        (HERE, THERE),
        lambda one, other: (one.experiment_id, other.experiment_id) in shares,
    )


def ids(pairs: Pairs) -> Mapping[str, str]:
    return {id: there.experiment_id for id, there in pairs.found.items()}


A, B = Experiment("11", "a"), Experiment("12", "b")


def test_a_copy_is_found_under_any_name_and_not_the_one_that_has_its_name_now() -> None:
    swapped = [copy("1", "b", "11", lineage=("11", "a", "a")), copy("2", "a", "12", lineage=("12", "b", "b"))]
    assert ids(paired([A, B], swapped)) == {"11": "1", "12": "2"}


def test_the_same_id_from_another_address_is_another_experiment_unless_the_runs_are_there() -> None:
    other = copy("1", "theirs", "11", "http://other", ("11", "theirs", "theirs"))
    assert ids(paired([A], [other])) == {}
    assert ids(paired([A], [other], [("11", "1")])) == {"11": "1"}


def test_the_runs_go_before_the_name_where_the_address_has_changed() -> None:
    old = "http://old"
    target = [copy("1", "b", "11", old, ("11", "b", "b")), copy("2", "a", "12", old, ("12", "a", "a"))]
    found = paired([A, B], target, [("11", "1"), ("12", "2")])
    assert ids(found) == {"11": "1", "12": "2"}


def test_by_name_only_what_is_no_copy_of_another_experiment_of_the_same_source() -> None:
    gone = copy("1", "a", "10", lineage=("10", "a", "a"))
    assert ids(paired([A], [gone])) == {}
    assert ids(paired([A], [gone], rename={"a": "a"})) == {"11": "1"}  # asked for: they are merged
    found = paired([A], [Experiment("1", "a")])
    assert (ids(found), found.by_origin) == ({"11": "1"}, set())


def test_a_copy_made_under_another_name_on_purpose_is_another_one() -> None:
    drill = copy("1", "drill/a", "11", lineage=("11", "a", "drill/a"))
    assert ids(paired([A], [drill])) == {}
    assert ids(paired([A], [drill], prefix="drill/")) == {"11": "1"}
    plain = copy("2", "a", "11", lineage=("11", "a", "a"))
    assert ids(paired([A], [drill, plain])) == {"11": "2"}
    assert ids(paired([A], [plain], rename={"a": "apart"})) == {}


def test_a_new_name_that_was_given_up_for_another_by_option_is_still_the_same_copy() -> None:
    """What `--rename` is advised for: the source's new name is taken in the target."""
    there = copy("1", "was", "11", lineage=("11", "was", "was"))
    assert ids(paired([A], [there], rename={"11": "else"})) == {"11": "1"}


@pytest.mark.parametrize("name", ["a", "was"])
def test_copies_of_earlier_versions_are_found_by_their_origin(name: str) -> None:
    assert ids(paired([A], [copy("1", name, "11")])) == {"11": "1"}
    assert ids(paired([A], [copy("1", "team/a", "11")])) == {}  # was given a prefix


def test_a_copy_beside_its_original_in_the_source_is_not_taken_for_it() -> None:
    beside = Experiment("13", "copy", tags={ORIGIN_EXPERIMENT: "11", FROM: HERE})
    both = [copy("1", "a", "11", lineage=("11", "a", "a")), copy("2", "copy", "11", lineage=("13", "copy", "copy"))]
    assert ids(paired([A, beside], both)) == {"11": "1", "13": "2"}
    assert ids(paired([beside], both[:1], [("13", "1")])) == {}
    assert ids(paired([A, beside], [copy("2", "copy", "11"), copy("1", "a", "11")])) == {"11": "1", "13": "2"}


def test_what_comes_home_is_found_by_its_own_id() -> None:
    tags = {ORIGIN_EXPERIMENT: "1", FROM: THERE, FROM_EXPERIMENT: str(Lineage("1", "home", "away"))}
    away = Experiment("55", "away", tags=tags)
    target = [Experiment("1", "renamed since"), Experiment("2", "away")]
    assert ids(paired([away], target)) == {"55": "1"}
    assert ids(paired([away], target, rename={"away": "beside"})) == {}


def test_further_copies_are_told() -> None:
    found = paired([A], [copy("1", "a", "11"), copy("2", "old", "11"), copy("3", "drill/a", "11")])
    assert [(one.name, there.name) for one, there in found.repeated] == [("a", "old")]


def test_of_two_of_one_name_in_the_target_the_active_one_is_taken_or_none() -> None:
    deleted, active, another = Experiment("1", "a", DELETED), Experiment("2", "a"), Experiment("3", "a")
    assert ids(paired([A], [deleted, active])) == {"11": "2"}
    found = paired([A], [active, another])
    assert (ids(found), [e.experiment_id for e in found.same_name["11"]]) == ({}, ["2", "3"])


@pytest.mark.parametrize("tag", ["", "{", "[]", "7", '{"id": "1"}', "null"])
def test_a_tag_that_says_nothing_of_use_is_passed_over(tag: str) -> None:
    assert Lineage.of(Experiment("1", "a", tags={FROM_EXPERIMENT: tag})) is None
