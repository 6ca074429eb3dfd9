"""Opening a workspace to change what is in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.errors import WrongUsage
from runsync.model.selection import Selection
from runsync.runs.change import ChangeReport, How
from runsync.transfer.places import open_editor


@contextmanager
def changing(
    where: str, verb: str, how: How, asked: Mapping[str, object]
) -> Iterator[tuple[Source, Editor, ChangeReport]]:
    """What a change reads from, what makes it, and the report of it, which gets the number of requests at the end.
    Raises what `open_editor` does."""
    with open_editor(where, access=how.access, workers=how.workers) as (source, editor):
        report = ChangeReport(verb, source.place, how.dry_run, dict(asked))
        yield source, editor, report
        report.requests = editor.requests


def with_runs(selection: Selection | None, runs: Sequence[str]) -> Selection:
    """A selection with further runs."""
    selection = selection or Selection()
    return replace(selection, runs=(*selection.runs, *runs))


def refuse_limit(limit: int | None, children: bool) -> None:
    """Raises WrongUsage for a limit beside children."""
    if limit is not None and children:
        raise WrongUsage("--limit counts runs one by one, without their children: say --no-children with it")
