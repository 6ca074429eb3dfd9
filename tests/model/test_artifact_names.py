"""Other names for artifacts: the same each time, no two alike, and given back as they were."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from runsync.model.artifact_names import LONGEST, MOST, as_sent, restored, sent_name, sent_names, tags_with
from runsync.model.identity import ARTIFACT_NAMES
from runsync.model.paths import unfit_for_folders
from runsync.model.run import ArtifactFile
from runsync.workspaces.rest.names import unfit

IMAGE = "images/loss%step%0%timestamp%1700000000000%8a1b2c3d-0000-4000-8000-000000000000.png"
STEPS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=8)
PATHS = st.lists(st.one_of(STEPS, st.sampled_from(["%20", "a%2fb", "#", "c;", "C:", " x", "a?", "%1b"])), min_size=1)


@given(PATHS.map("/".join).filter(lambda path: unfit_for_folders(path) is None))
def test_every_name_has_another_that_servers_keep(path: str) -> None:
    sent = sent_name(path)
    assert (unfit(sent, below_root=True), unfit(sent, below_root=False)) == (None, None)
    assert unfit_for_folders(sent) is None
    assert all(len(step.encode()) <= 255 for step in sent.split("/") if len(step) > 64)


def test_other_names_look_like_the_originals() -> None:
    assert re.fullmatch(r"plots/a\+1~[0-9a-f]{8}\.png", sent_name("plots/a#1.png"))
    assert sent_name("plots/a#1.png") != sent_name("plots/a%1.png")
    assert re.fullmatch(r"my\+model~[0-9a-f]{8}/MLmodel", sent_name("my#model/MLmodel")), "which is still a model"
    assert re.fullmatch(r"b c/plots~[0-9a-f]{8}", sent_name("b c/plots")), "beside a folder of that name"
    assert sent_name(IMAGE) == IMAGE.replace("%", "+"), "which pages of MLflow show as an image of that step"


def test_originals_come_back_by_the_tags() -> None:
    paths = ["a#b", "x%20y", IMAGE]
    tags, left = tags_with({}, paths)
    assert (left, json.loads(tags[ARTIFACT_NAMES])) == ([], paths)
    there = tuple(ArtifactFile(name, 1) for name in (*map(sent_name, paths), "plain.txt"))
    assert [file.path for file in restored(tags, there)] == sorted([*paths, "plain.txt"])
    assert as_sent(tags, ArtifactFile("a#b", 1)).path == sent_name("a#b")
    assert as_sent(tags, ArtifactFile("plain.txt", 1)).path == "plain.txt"
    further, _ = tags_with(tags, ["c#"])
    assert list(sent_names(tags | further)) == [*paths, "c#"]


def test_names_fill_tag_after_tag_and_no_more_than_a_run_may_have() -> None:
    paths = [f"images/{'n' * 90}#{number:05}" for number in range(3000)]
    tags, left = tags_with({}, paths)
    assert len(tags) == MOST
    assert max(map(len, tags.values())) <= LONGEST
    assert [*sent_names(tags), *left] == paths


def test_tags_that_others_wrote_lead_nowhere() -> None:
    for value in ("", "[", "{}", "3", '["../x", "/etc/x", 4, null, "a\\u0000b", "\\ud800"]', "[" * 5000):
        assert sent_names({ARTIFACT_NAMES: value}) == {}
