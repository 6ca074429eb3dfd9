"""Artifact paths from servers and bundles: none leads out of its folder, and every honest name passes."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runsync.model.paths import escaped, folders_above, unfit_for_folders, unsafe

STEPS = st.sampled_from(["..", ".", "", "a", "b.txt", "...", "C:", "\\", "..\\", "~", "%2e%2e", " ", "ü", "\x00", "\n"])
PATHS = st.one_of(st.text(max_size=12), st.lists(STEPS, max_size=5).map("/".join), st.lists(STEPS).map("".join))


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "..", "../x", "a/../x", "a/..", "../../etc/x", "a/../../x", "./x", "a/./b", "a//b"),
        *("a/", "a\x00", "caf\udce9.txt", "\ud800", "d\udcff/x"),
    ],
)
def test_a_path_that_leads_out_or_means_nothing_is_refused_with_a_reason(path: str) -> None:
    reason = unfit_for_folders(path)
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
        *("m:loss.png", "C:/x", "C:\\x", "c:x", "\\\\host\\share", "\\x", "..\\x", "a\\..\\..\\x", "a\nb", "\x1b[2J"),
    ],
)
def test_an_honest_name_is_let_through(path: str) -> None:
    assert unfit_for_folders(path) is None


@pytest.mark.parametrize("path", ["a//b", "./a", "a/./b", "a/"])
def test_what_folders_cannot_hold_is_kept_where_there_are_none(path: str) -> None:
    assert unsafe(path) is None
    assert unfit_for_folders(path)


def test_bytes_that_are_no_utf8_are_told_as_such() -> None:
    assert escaped("caf\udce9/ü\udc80.txt") == r"caf\xe9/ü\x80.txt"
    assert escaped("\ud800") == r"\ud800"
    assert escaped("ü\\x80") == "ü\\x80"


def test_the_folders_of_files() -> None:
    assert folders_above(["a/b/c", "a/d", "e"]) == {"a", "a/b"}


@given(PATHS)
@example("a/..\\..\\..\\x")
def test_no_path_that_is_let_through_leads_out_of_its_folder(path: str) -> None:
    if unfit_for_folders(path) is None:
        root = Path("/srv/of/run")
        place = Path(os.path.normpath(root / path))
        assert place.is_relative_to(root)
        assert place != root
        assert place == root / path
        assert "\x00" not in path
