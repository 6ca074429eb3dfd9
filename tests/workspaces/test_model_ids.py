"""Which MLmodel files follow the ids."""

import pytest

from runsync.model.run import ArtifactFile
from runsync.workspaces.arrival.model_ids import LONGEST, followers


@pytest.mark.parametrize(
    ("paths", "following"),
    [
        (("MLmodel", "model/MLmodel", "model/MLmodel.txt", "xMLmodel"), {"MLmodel", "model/MLmodel"}),
        (("a/MLmodel", "a/model.sig", "b/MLmodel"), {"b/MLmodel"}),
        (("a/b/MLmodel", "a/model.sig", "ab/MLmodel"), {"ab/MLmodel"}),
        (("a/MLmodel", "model.sig"), set()),
        (("a/MLmodel", "a/b/model.sig", "a/model.sig.txt"), {"a/MLmodel"}),
    ],
)
def test_models_that_are_signed_keep_their_bytes(paths: tuple[str, ...], following: set[str]) -> None:
    assert followers(ArtifactFile(path, 9) for path in paths) == following


def test_a_file_that_is_far_too_long_for_one_is_none() -> None:
    assert followers([ArtifactFile("MLmodel", LONGEST + 1)]) == set()
