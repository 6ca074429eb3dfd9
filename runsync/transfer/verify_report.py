"""What a verification found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from runsync.kinds.left_behind import was_sought
from runsync.model.comparison import Difference
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place

DIFFERENT = 4


@dataclass(slots=True)
class VerifyReport:
    """`schemas/v1/verify-report.schema.json`. `objects` counts the entities that were compared, by kind.

    `differences` has also what could not be read on a side (`unread`): none of the counts has that, and what of the
    source is accepted so is in `not_compared`.
    `not_compared` is what the source has, or was to have, and nobody looked for in the target; `accept` are the names
    of what may be left out so. `is_all`: the source was compared as a whole.
    """

    source: Place
    target: Place
    experiments: int = 0
    runs: int = 0
    metric_points: int = 0
    artifacts: int = 0
    artifacts_by_hash: bool = False
    objects: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    accept: frozenset[str] = frozenset()
    not_compared: list[NotCarried] = field(default_factory=list)
    is_all: bool = True
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """0 when everything is there, but for what was accepted, else 4."""
        return DIFFERENT if self.differences or self.left_out else 0

    @property
    def unread(self) -> list[Difference]:
        """What could not be compared because a side could not be read, and that was not accepted."""
        return [each for each in self.differences if each.unread]

    @property
    def left_out(self) -> list[NotCarried]:
        """What was not compared, and that was not accepted."""
        return [left for left in self.not_compared if left.kind and left.kind not in self.accept]

    @property
    def accepted(self) -> list[NotCarried]:
        """What was not compared, as was accepted."""
        return [left for left in self.not_compared if left.kind in self.accept]

    @property
    def otherwise(self) -> list[NotCarried]:
        """What is otherwise in the target: nothing is lost with it."""
        return [left for left in self.not_compared if not left.kind and was_sought(left)]

    @property
    def unsought(self) -> list[NotCarried]:
        """The kinds that nobody looked for at the source."""
        return [left for left in self.not_compared if not was_sought(left)]

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = asdict(self) | {"accept": sorted(self.accept)}
        for left in document["not_compared"]:
            left["accepted"] = left["kind"] in self.accept
        return {"format": "runsync-verify-report", "version": 1, "exit_code": self.exit_code, **document}
