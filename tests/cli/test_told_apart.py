"""Long texts that differ look different when they are cut to one width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runsync.cli.tables import columns_of
from runsync.cli.told_apart import told_apart


@pytest.mark.parametrize(
    ("texts", "width", "shown"),
    [
        (["adam", "sgd"], 8, ["adam", "sgd"]),
        (["a" * 30, "b" * 30], 10, ["a" * 9 + "…", "b" * 9 + "…"]),
        (["/data/models/v1/x.pt", "/data/models/v2/x.pt"], 12, ["…els/v1/x.pt", "…els/v2/x.pt"]),
        (["same" * 9, "same" * 9], 9, ["samesame…", "samesame…"]),
        (["k" * 20, "k" * 21], 10, ["…kkkkkkkk", "…kkkkkkkkk"]),
        (["k" * 20 + "1", "k" * 20 + "2", "other"], 10, ["…kkkkkkkk1", "…kkkkkkkk2", "other"]),
        (["語" * 9 + "一" * 9, "語" * 9 + "二" * 9], 10, ["…語一一一…", "…語二二二…"]),
    ],
)
def test_they_are_cut_at_the_end_or_shown_where_they_part(texts: list[str], width: int, shown: list[str]) -> None:
    assert told_apart(texts, width) == shown


@given(st.lists(st.text("ab", max_size=40), max_size=6, unique=True), st.integers(20, 30))
def test_none_is_wider_and_no_two_look_alike(texts: list[str], width: int) -> None:
    shown = told_apart(texts, width)
    assert all(columns_of(text) <= width for text in shown)
    assert len(set(shown)) == len(texts)
