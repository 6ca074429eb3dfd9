"""How much may be deleted."""

import pytest

from runsync.errors import WrongUsage
from runsync.model.deletions import Brake


@pytest.mark.parametrize(
    ("text", "going", "there", "allowed"),
    [
        ("10%", 1, 10, True),
        ("10%", 2, 19, False),
        ("0%", 0, 0, True),
        ("0%", 1, 1000, False),
        ("2.5%", 25, 1000, True),
        ("2.5%", 26, 1000, False),
        ("100%", 7, 7, True),
        ("3", 3, 3, True),
        ("3", 4, 1000, False),
        ("0", 0, 10, True),
    ],
)
def test_a_share_or_a_number_may_go_and_not_one_more(text: str, going: int, there: int, allowed: bool) -> None:
    assert Brake.parse(text).allows(going, there) is allowed
    assert str(Brake.parse(text)) == text


@pytest.mark.parametrize("text", ["", "%", "all", "-1", "-1%", "101%", "1.5", "nan%", "inf"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage, match="neither a share"):
        Brake.parse(text)
