"""Artifact paths from servers and bundles: none leads out of its folder, and every honest name passes."""

import os
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runsync.model.paths import unsafe

STEPS = st.sampled_from(["..", ".", "", "a", "b.txt", "...", "C:", "\\", "..\\", "~", "%2e%2e", " ", "ü", "\x00", "\n"])
PATHS = st.one_of(st.text(max_size=12), st.lists(STEPS, max_size=5).map("/".join), st.lists(STEPS).map("".join))


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "..", "../x", "a/../x", "a/..", "../../etc/x", "a/../../x", "./x", "a/./b", "a//b"),
        *("a/", "C:/x", "C:\\x", "c:x", "\\\\host\\share", "\\x", "..\\x", "a\\..\\..\\x", "a\nb", "a\x00", "\x1b[2J"),
    ],
)
def test_a_path_that_leads_out_or_means_nothing_is_refused_with_a_reason(path: str) -> None:
    reason = unsafe(path)
    assert reason
    assert reason.startswith("it ")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "a",
            "a/b/c.txt",
            "with space/ü.txt",
            "日本.txt",
            "100%.txt",
            "a#b",
            "a&b=c",
            "..a",
            "a..",
            "a/...",
            ".hidden",
        ),
        *("~/x", "plus+semi;comma,.txt", "$HOME", "run:1/x", "é" * 200),
    ],
)
def test_an_honest_name_is_let_through(path: str) -> None:
    assert unsafe(path) is None


@given(PATHS)
@example("a/..\\..\\..\\x")
def test_no_path_that_is_let_through_leads_out_of_its_folder(path: str) -> None:
    if unsafe(path) is None:
        root = Path("/srv/of/run")
        place = Path(os.path.normpath(root / path))
        assert place.is_relative_to(root)
        assert place != root
        assert place == root / path
        windows = PureWindowsPath("D:\\root\\of\\run")
        joined = windows / path
        assert joined.is_relative_to(windows)
        assert ".." not in joined.parts
        assert "\x00" not in path
