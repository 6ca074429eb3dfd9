"""What Unity Catalog takes for names and tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runsync.workspaces.databricks.unity import tags
from runsync.workspaces.databricks.unity.names import is_in_catalog, why_not

KEYS = st.text(alphabet=st.sampled_from("ab_.,-=/:2ef5x "), min_size=1)


@given(st.dictionaries(KEYS, st.text()))
def test_tags_are_written_as_the_catalog_has_them_and_read_as_they_were(given_tags: dict[str, str]) -> None:
    written = {tags.key(key): value for key, value in given_tags.items()}
    assert len(written) == len(given_tags)
    assert not [key for key in written if set(key) & set(".,-=/:")]
    assert tags.meant(written) == given_tags


def test_tags_that_do_not_fit_are_named_and_ours_go_first() -> None:
    many = {f"t{number}": "x" for number in range(60)}
    kept, problems = tags.fitting(many | {"runsync.source.model_version": "churn/1", "long": "x" * 1001})
    assert (len(kept), "runsync.source.model_version" in kept, len(problems)) == (50, True, 12)
    assert {problem.reason for problem in problems} == {
        "Unity Catalog takes 50 tags",
        "Unity Catalog takes keys of 255 characters and values of 1000",
    }


@pytest.mark.parametrize(
    ("name", "is_meant", "told"),
    [
        ("churn", False, ""),
        ("prod.ml.churn", True, ""),
        ("churn", True, "say --rename 'churn=CATALOG.SCHEMA.churn'"),
        ("Churn 2 (old)", True, "say --rename 'Churn 2 (old)=CATALOG.SCHEMA.churn_2_old'"),
        ("ml.churn", False, "say --rename 'ml.churn=CATALOG.SCHEMA.churn'"),
        ("prod..churn", False, "a part is empty"),
        ("prod.ml.my churn", False, "has a space or slash"),
        ("prod.ml.Churn", True, "say --rename 'prod.ml.Churn=prod.ml.churn'"),
    ],
)
def test_a_name_that_cannot_be_comes_with_one_that_can(name: str, is_meant: bool, told: str) -> None:
    assert told in why_not(name, is_meant)
    assert bool(told) == bool(why_not(name, is_meant))
    assert is_in_catalog(name) == (name.count(".") == 2)
