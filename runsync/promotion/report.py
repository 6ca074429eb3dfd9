"""What became of a promotion, target by target."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runsync.model.place import Place
from runsync.promotion.gates import Gate
from runsync.promotion.history import PROMOTED, REFUSED

ALREADY_THERE, FAILED = "already there", "failed"
"""What is no move; for the others see `history`."""
DIFFERENCES = 4
PARTLY_DONE = 3


@dataclass(slots=True)
class Promotion:
    """Of one target; with the report's `dry_run`, what would be done. `holder` is the version that the alias named
    before (None: none), `version` the one that it names now, or that was made for it; None where there is none yet.

    `error` tells why nothing, or not all, was done, and `error_code` is the exit code of that. `lost` are pieces of the
    run, not of the model, that are not in the target.
    """

    target: Place
    to_model: str
    alias: str
    action: str = PROMOTED
    version: int | None = None
    holder: int | None = None
    gates: tuple[Gate, ...] = ()
    forced: str = ""
    by: str = ""
    commit: str = ""
    error: str = ""
    error_code: int = 0
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 done, 3 without pieces of the run, 4 refused, else that of the error."""
        if self.action == REFUSED:
            return DIFFERENCES
        return self.error_code or (PARTLY_DONE if self.lost else 0)

    def to_document(self) -> dict[str, Any]:
        """One of the JSON report."""
        document = {**asdict(self), "gates": [gate.to_document() for gate in self.gates]}
        return {**document, "exit_code": self.exit_code}


@dataclass(slots=True)
class PromotionReport:
    """`schemas/v1/promotion-report.schema.json`. `model` is what was promoted, in the words of its source; `files` and
    `bytes` are those of the model. Of several targets, `action` and the like are those of the one that went worst."""

    source: Place
    model: str
    digest: str = ""
    files: int = 0
    bytes: int = 0
    dry_run: bool = False
    promotions: list[Promotion] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0

    @property
    def worst(self) -> Promotion:
        """The first of those with the greatest exit code."""
        return max(self.promotions, key=lambda one: one.exit_code)

    @property
    def action(self) -> str:
        """Promoted, already there, refused, failed, or rolled back."""
        return self.worst.action

    @property
    def version(self) -> int | None:
        """The version in the target."""
        return self.worst.version

    @property
    def gates(self) -> Sequence[Gate]:
        """Those of the target."""
        return self.worst.gates

    @property
    def exit_code(self) -> int:
        """That of the worst."""
        return self.worst.exit_code if self.promotions else 0

    def markdown(self) -> str:
        """For a pull request, or the summary of a pipeline."""
        from runsync.promotion.summary import markdown

        return markdown(self)

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-promotion-report",
            "version": 1,
            "source": asdict(self.source),
            "model": self.model,
            "digest": self.digest,
            "files": self.files,
            "bytes": self.bytes,
            "dry_run": self.dry_run,
            "action": self.action if self.promotions else "",
            "promotions": [one.to_document() for one in self.promotions],
            "seconds": self.seconds,
            "requests": self.requests,
            "exit_code": self.exit_code,
        }
