"""Whether artifact roots are what they should be: below the right one, some run or its experiment has something."""

from pathlib import Path


class Sightings:
    """What was looked for below which roots (absolute paths or `s3://` addresses), and where there was anything."""

    def __init__(self) -> None:
        self._looked: dict[str, set[str]] = {}
        self._found: set[str] = set()

    def look(self, root: str, run_id: str) -> None:
        """A run was looked for."""
        self._looked.setdefault(root, set()).add(run_id)

    def find(self, root: str) -> None:
        """There is something of a run, or of its experiment."""
        self._found.add(root)

    @property
    def doubts(self) -> list[str]:
        """Where it seems that the root that was named, or recorded, is not what it should be."""
        return [_doubt(root, len(runs)) for root, runs in self._looked.items() if root not in self._found]


def _doubt(root: str, runs: int) -> str:
    is_on_s3 = root.startswith("s3://")
    missing = "" if is_on_s3 or Path(root).exists() else " (it does not exist)"
    return (
        f"no run of the {runs:,} looked at, and none of their experiments, has a {'file' if is_on_s3 else 'folder'} "
        f"below {root}: if they have artifacts, that is not their root{missing}"
    )
