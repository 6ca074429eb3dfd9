"""What was found out about a workspace before anything is carried: what works there, and what will not."""

from dataclasses import dataclass
from typing import Literal

from runsync.secrecy import strike

OK: Literal["ok"] = "ok"
WARNING: Literal["warning"] = "warning"
FAILURE: Literal["failure"] = "failure"
State = Literal["ok", "warning", "failure"]
RUNS = "runs"
"""The topic of whether the runs that were looked at could be read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`topic` is a word such as version or artifacts; `told` says what was found, and holds no secret.

    WARNING: it can be used, but not for all, or otherwise than one may think. FAILURE: something will not work at all.
    `remedy` says what to do next, "" where there is nothing to be done.
    """

    topic: str
    state: State
    told: str
    remedy: str = ""

    def __post_init__(self) -> None:
        for name in ("told", "remedy"):
            object.__setattr__(self, name, strike(getattr(self, name)))


def ok(topic: str, told: str) -> Finding:
    """What is as it should be, or is only worth knowing."""
    return Finding(topic, OK, told)


def warning(topic: str, told: str, remedy: str = "") -> Finding:
    """See `Finding`."""
    return Finding(topic, WARNING, told, remedy)


def failure(topic: str, told: str, remedy: str = "") -> Finding:
    """See `Finding`."""
    return Finding(topic, FAILURE, told, remedy)
