"""LIKE finds what a database finds, in time that grows with the text only."""

import re

from hypothesis import given
from hypothesis import strategies as st

from runsync.model.filter.like import like


def _by_regex(pattern: str, text: str, is_blind: bool) -> bool:
    def fold(value: str) -> str:
        return "".join(c.lower() if c.isascii() else c for c in value) if is_blind else value

    written = "".join({"%": ".*", "_": "."}.get(c) or re.escape(c) for c in fold(pattern))
    return re.fullmatch(written, fold(text), re.DOTALL) is not None


@given(st.text("ab%_Ä\n", max_size=7), st.text("aAbBÄä\n", max_size=8), st.booleans())
def test_it_is_what_like_means(pattern: str, text: str, is_blind: bool) -> None:
    assert like(pattern, is_blind)(text) == _by_regex(pattern, text, is_blind)


def test_many_wildcards_on_a_long_text_take_no_time() -> None:
    """With backtracking this would not end."""
    text = "a" * 1_000_000
    assert not like("%a" * 20 + "%b", False)(text)
    assert not like("%_a" * 20 + "%b", True)(text)
    assert like("%a%a%a%a%a%", True)(text)
