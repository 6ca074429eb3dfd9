"""The mark of a copy: met by what was carried whole, never by what was left out or has changed."""

import dataclasses

import pytest

from runsync.model.mark import NOT_CARRIED, UNKNOWN, Mark
from runsync.model.run import ArtifactFile, Contents, Run

RUN = Run("1" * 32, "1", name="run", status="FINISHED")
FILES = (ArtifactFile("a", 1, "0" * 64), ArtifactFile("b", 2, "1" * 64))
WHOLE = Mark.of(RUN, Contents(3, FILES))


def test_a_mark_reads_as_it_was_written() -> None:
    assert Mark.parse(str(WHOLE)) == WHOLE
    assert Mark.parse("anything") is None


@pytest.mark.parametrize("part", ["points", "artifacts"])
def test_a_source_that_does_not_tell_the_contents_asks_only_that_they_were_carried(part: str) -> None:
    unknown = Mark.of(RUN, None)
    assert unknown.is_met_by(WHOLE)
    assert unknown.is_met_by(dataclasses.replace(WHOLE, **{part: UNKNOWN}))
    assert not unknown.is_met_by(dataclasses.replace(WHOLE, **{part: NOT_CARRIED}))
    assert not unknown.is_met_by(None)
    assert not Mark.of(dataclasses.replace(RUN, name="renamed"), None).is_met_by(WHOLE)


def test_a_bundle_asks_for_its_very_contents_as_far_as_it_has_them() -> None:
    assert not Mark.of(RUN, Contents(4, FILES)).is_met_by(WHOLE)
    assert not Mark.of(RUN, Contents(3, FILES[:1])).is_met_by(WHOLE)
    assert not WHOLE.is_met_by(dataclasses.replace(WHOLE, artifacts=UNKNOWN))
    assert Mark.of(RUN, Contents(3, None)).is_met_by(WHOLE)


def test_files_of_which_not_all_hashes_are_known_have_no_digest() -> None:
    assert Mark.of(RUN, Contents(3, (*FILES, ArtifactFile("c", 1)))).artifacts == UNKNOWN
