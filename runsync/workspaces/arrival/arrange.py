"""Which files of a run go to a target, and under which names: not every place holds every name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from runsync.errors import ITEM_ERRORS
from runsync.model.artifact_names import sent_name, sent_names, tags_with
from runsync.model.identity import ARTIFACT_NAMES
from runsync.model.not_carried import NAMED
from runsync.model.paths import folders_above
from runsync.model.run import ArtifactFile, Run
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import Copy

Tag = Callable[[Copy, str, str], None]
"""Sets a tag of a copy."""


class Holder(Protocol):
    """What is known of the names that a place of artifacts holds."""

    def has_folders(self, run: Run) -> bool:
        """Whether a name there is either a file or a folder, as far as that is known; on S3 it may be both."""

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """The paths that would not arrive as they are, as far as that is known."""


class Arranger:
    """Arranges files for one target. With `tag`, files whose names it does not hold go there under other names;
    `is_planned_only` is for how that is told."""

    def __init__(self, holder: Holder, tag: Tag | None = None, *, is_planned_only: bool = False) -> None:
        self._holder = holder
        self._would_be = "would be " if is_planned_only else ""
        self._tag = tag
        self._left_out: list[str] = []
        self._renamed: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Files that were left out or renamed, and are no loss."""
        told = []
        if self._left_out:
            why = "left out, as S3 has them for folders: the run has a folder of the same name"
            told.append(f"{many(len(self._left_out), 'empty file')} {self._would_be}{why} ({_named(self._left_out)})")
        if self._renamed:
            why = "stored under another name, as the target would change the original; an export restores it"
            told.append(f"{many(len(self._renamed), 'artifact')} {self._would_be}{why} ({_named(self._renamed)})")
        return told

    def arrange(self, copy: Copy, files: Sequence[ArtifactFile]) -> tuple[ArtifactFile, ...]:
        """The files that are to go there; of those that cannot, the fault is told.

        An empty one that would have to be a folder too is left out.
        """
        at, folders = as_target(copy), folders_above(file.path for file in files)
        both = {file.path for file in files if file.path in folders}
        if both and not self._holder.has_folders(at):
            both = set()
        self._left_out += [file.path for file in files if file.path in both and not file.size]
        kept = tuple(file for file in files if file.size or file.path not in both)
        if self._tag is None:
            fault = "the run has a folder of the same name, and the target cannot hold both"
            return _with_faults(kept, dict.fromkeys(both, fault))
        sound = {f.path for f in kept if not f.fault}
        odd = sound & (both | self._holder.changed(at, sound))
        if not odd and ARTIFACT_NAMES not in copy.tags_there:
            return kept
        return _with_faults(kept, self._rename(copy, self._tag, odd, {f.path for f in kept} - odd))

    def _rename(self, copy: Copy, tag: Tag, odd: set[str], others: set[str]) -> dict[str, str]:
        """Has the copy's tags tell of the other names; gives why files cannot go there, by path."""
        there = sent_names(copy.tags_there)
        used, new = set(there.values()), []
        faults = dict.fromkeys(others & used, "the target has another file under this name")
        for path in sorted(odd - there.keys()):
            if (sent := sent_name(path)) in used or sent in others:
                faults[path] = f"the target would change its name, and “{sent}” is another file's"
            else:
                used.add(sent)
                new.append(path)
        changed, left = tags_with(copy.tags_there, new)
        faults |= dict.fromkeys(left, "the target would change its name, and the run's tags have no room for another")
        try:
            for key, value in changed.items():
                tag(copy, key, value)
        except ITEM_ERRORS as error:
            return faults | dict.fromkeys(new, str(error))
        copy.tags_there = {**copy.tags_there, **changed}
        self._renamed += sorted(odd - faults.keys())
        return faults


def as_target(copy: Copy) -> Run:
    """The run that a copy is in the target."""
    return Run(copy.target_id, copy.experiment_id, artifact_uri=copy.artifact_uri)


def _with_faults(files: Sequence[ArtifactFile], faults: dict[str, str]) -> tuple[ArtifactFile, ...]:
    return tuple(replace(f, fault=f.fault or faults[f.path]) if f.path in faults else f for f in files)


def _named(paths: Sequence[str]) -> str:
    names = sorted(set(paths))
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
