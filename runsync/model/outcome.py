"""What is to be done with an item, and what was done."""

from dataclasses import dataclass

from runsync.model.run import Problem

CREATE = "create"
UPDATE = "update"
UNCHANGED = "unchanged"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one run. `target_id` is the run's id in the target, where it has one already; `problems`
    tell what cannot be done for it, whatever the action does; `retry` is as in `Outcome`."""

    run_id: str
    action: str
    target_id: str = ""
    error: str = ""
    problems: tuple[Problem, ...] = ()
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with one run, experiment or further object.

    `points`, `artifacts` and `bytes` count what was written. With `action` FAILED nothing can be said to be whole;
    otherwise `problems` tell which pieces did not arrive. `retry`: another try may bring (some of) what did not.
    """

    kind: str
    source_id: str
    name: str
    action: str
    target_id: str = ""
    points: int = 0
    artifacts: int = 0
    bytes: int = 0
    problems: tuple[Problem, ...] = ()
    error: str = ""
    retry: bool = False
