"""What a dry run tells of artifacts: all that shows without requests for each run, and without reading a file."""

from collections.abc import Callable

from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS
from runsync.model.run import ArtifactFile, Contents, Problem, Run
from runsync.model.wording import many


class Foresight:
    """Looks at the files of runs; counts the runs that it does not look at."""

    def __init__(self) -> None:
        self._unlooked = 0

    def files(
        self, source: Source, run: Run, contents: Contents | None, note: Callable[[Problem], object]
    ) -> tuple[ArtifactFile, ...]:
        """The files of a run that seem sound; `note` is called with the others."""
        try:
            files = source.seen_artifacts(run, contents)
        except ITEM_ERRORS as error:
            note(Problem("artifact list", "", str(error)))
            return ()
        if files is None:
            self._unlooked += 1
            return ()
        for file in files:
            if file.fault:
                note(Problem("artifact", file.path, file.fault))
        return tuple(file for file in files if not file.fault)

    @property
    def notes(self) -> list[str]:
        """That not all was looked at."""
        what = many(self._unlooked, "run")
        return [f"the artifacts of {what} were not looked at: that takes requests for each"] if self._unlooked else []
