"""What can be wrong with a file of a bundle."""

from dataclasses import dataclass, field

MISSING = "missing"
"""The file is not there."""
BROKEN = "broken"
"""Its bytes are not those that were written, or cannot be read."""
INVALID = "invalid"
"""Its bytes are those that were written, but not what the format wants."""
MISMATCH = "mismatch"
"""What a snapshot says of it is not so."""


@dataclass(slots=True)
class Fault:
    """Something wrong: the file (below the bundle), what and of which kind, and which snapshots and runs are hit."""

    file: str
    error: str
    kind: str
    snapshots: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
