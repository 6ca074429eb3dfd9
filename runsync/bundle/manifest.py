"""The manifest of a snapshot: what one finished export holds. Written last: a snapshot is there whole or not at all."""

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field, fields
from datetime import MAXYEAR, datetime
from fnmatch import fnmatchcase
from typing import Any

from runsync.bundle import layout
from runsync.kinds import KINDS
from runsync.kinds.left_behind import MISSING_ITEMS, MISSING_PIECES, kind_of
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.place import Place
from runsync.model.run import UNTOLD
from runsync.model.selection import Selection
from runsync.model.wording import counted

_NOUNS = {"artifact": "file", "artifact list": "list of files"}
EVERYTHING = Selection()
OF_EXPERIMENT = " of experiment"
"""Ends the kind of what is a piece of an experiment."""
UNREAD = "not readable at export; see runsync inspect"


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file under `parts/`: bytes, and how many documents or points it holds."""

    path: str
    bytes: int
    count: int


@dataclass(frozen=True, slots=True)
class RunsPart:
    """Run documents, the files with their metric history, and which lines (from 1) are not of this snapshot."""

    runs: PartFile
    metrics: tuple[PartFile, ...]
    superseded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectsPart:
    """Documents of one kind of entity (see `runsync.kinds`), and which lines (from 1) are not of this snapshot; of a
    kind that has rows the file with those, unless there are none."""

    kind: str
    documents: PartFile
    superseded: tuple[int, ...] = ()
    rows: PartFile | None = None

    @property
    def files(self) -> tuple[PartFile, ...]:
        """Rows before the documents that name them."""
        return (self.documents,) if self.rows is None else (self.rows, self.documents)


@dataclass(slots=True)
class Counts:
    """How much of everything."""

    experiments: int = 0
    experiments_deleted: int = 0
    runs: int = 0
    runs_deleted: int = 0
    params: int = 0
    tags: int = 0
    metric_points: int = 0
    dataset_inputs: int = 0
    model_inputs: int = 0
    model_outputs: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0

    def add(self, other: "Counts") -> None:
        """Adds all counts of another."""
        for place in fields(self):
            setattr(self, place.name, getattr(self, place.name) + getattr(other, place.name))


@dataclass(frozen=True, slots=True)
class Manifest:
    """See `schemas/v1/snapshot.schema.json`. `created_at` and `started_at` are ISO 8601 in UTC.

    `problems` name what is missing of runs that are in; `failed` the items that are not in at all. `asked` is what of a
    kind was asked for, by the names of options; `objects` is empty where there are no entities. `order` is the
    snapshot's place in the history; 0 where its own date puts it there. `digest` is the SHA-256 of the file with the
    digest itself written as 64 zeros.
    """

    id: str
    started_at: str
    created_at: str
    tool_version: str
    source: Place
    selection: Mapping[str, Any]
    with_artifacts: bool
    experiments: PartFile
    parts: tuple[RunsPart, ...]
    counts: Counts
    problems: tuple[Mapping[str, str], ...] = ()
    failed: tuple[Mapping[str, str], ...] = ()
    not_carried: tuple[NotCarried, ...] = ()
    objects: tuple[ObjectsPart, ...] = ()
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order: int = 0
    digest: str = ""

    def to_document(self) -> dict[str, Any]:
        """The JSON document. What the first bundles did not have is left out where there is none of it."""
        document = {"format": "runsync-snapshot", "version": 1, **asdict(self)}
        del document["asked"]
        document |= {kind.kept_in: list(self.asked.get(kind.kept_option, ())) for kind in _KEPT}
        for left in document["not_carried"]:
            del left["kind"]  # its title tells
        for part in document["objects"]:
            if not part["superseded"]:
                del part["superseded"]  # earlier versions know none
            if part["rows"] is None:
                del part["rows"]
        return {name: value for name, value in document.items() if value or name not in _ADDED_LATER}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Manifest":
        """The reverse, of a valid document. Raises ValueError for a time that there is not."""
        for name in ("started_at", "created_at"):
            if datetime.fromisoformat(document[name]).year >= MAXYEAR:
                raise ValueError(f"{name} {document[name]} is at the end of all time")
        layout.time_of(document["id"])
        values = {place.name: document[place.name] for place in fields(cls) if place.name in document}
        values["source"] = Place(**document["source"])
        values["experiments"] = PartFile(**document["experiments"])
        values["counts"] = Counts(**document["counts"])
        values["problems"] = tuple(document["problems"])
        values["failed"] = tuple(document["failed"])
        values["not_carried"] = tuple(
            NotCarried(n["what"], n["count"], n["why"], tuple(n["names"]), kind_of(n["what"]))
            for n in document["not_carried"]
        )
        values["parts"] = tuple(
            RunsPart(
                PartFile(**part["runs"]),
                tuple(PartFile(**m) for m in part["metrics"]),
                tuple(part["superseded"]),
            )
            for part in document["parts"]
        )
        values["objects"] = tuple(
            ObjectsPart(
                part["kind"],
                PartFile(**part["documents"]),
                tuple(part.get("superseded", ())),
                PartFile(**part["rows"]) if "rows" in part else None,
            )
            for part in document.get("objects", ())
        )
        values["asked"] = {
            kind.kept_option: tuple(document[kind.kept_in]) for kind in _KEPT if kind.kept_in in document
        }
        values["order"] = document.get("order", 0)
        return cls(**values)

    def lacks(
        self,
        selection: Selection = EVERYTHING,
        run_ids: Set[str] | None = None,
        experiment_ids: Set[str] | None = None,
        *,
        has_all: bool = False,
    ) -> list[NotCarried]:
        """What its source had, and it has not: what was not carried, and what could not be read. Of pieces of runs and
        experiments only those of `run_ids` and `experiment_ids`, unless that is None; of runs and experiments those
        that a selection may mean: none where it `has_all` that is asked for by id."""
        items: dict[str, list[str]] = defaultdict(list)
        for failed in self.items_lost(selection, experiment_ids, has_all):
            items[failed["kind"]].append(failed["id"] if failed["id"] != UNTOLD else failed["name"])
        pieces: dict[str, list[str]] = defaultdict(list)
        for problem in self.problems:
            if run_ids is None or problem["run_id"] in run_ids:
                noun = _NOUNS.get(problem["kind"], problem["kind"])
                pieces[noun].append(f"{problem['run_id']}: {problem['name']}".removesuffix(": "))
        unread = [
            kind.left(len(names), _why(noun, selection), tuple(names[:NAMED]), counted(len(names), noun))
            for kind, told in ((MISSING_ITEMS, items), (MISSING_PIECES, pieces))
            for noun, names in told.items()
        ]
        return [*self.not_carried, *unread]

    def items_lost(
        self, selection: Selection, experiment_ids: Set[str] | None, has_all: bool
    ) -> list[Mapping[str, str]]:
        """Of `failed` what a selection may mean; see `lacks`."""

        def is_meant(failed: Mapping[str, str]) -> bool:
            if failed["kind"].endswith(OF_EXPERIMENT):
                return experiment_ids is None or failed["id"] in experiment_ids
            return not has_all and _may_mean(selection, failed)

        return list(filter(is_meant, self.failed))

    def files(self) -> list[PartFile]:
        """Every part it names."""
        objects = (file for part in self.objects for file in part.files)
        return [self.experiments, *(f for part in self.parts for f in (part.runs, *part.metrics)), *objects]

    def has_same_contents(self, other: "Manifest") -> bool:
        """Whether both hold the very same, of the same source and selection."""
        return self._contents() == other._contents()

    def _contents(self) -> tuple[object, ...]:
        asked = (self.source.address, self.selection, self.with_artifacts, self.asked)
        return (*asked, self.experiments, set(self.parts), set(self.objects), self.failed)


_KEPT = [kind for kind in KINDS if kind.kept_in]
_ADDED_LATER = ("objects", "order", *(kind.kept_in for kind in _KEPT))


def is_of_files(problem: Mapping[str, str]) -> bool:
    """Whether a piece of a run that is missing is a file of it, or all."""
    return problem["kind"] in ("artifact", "artifact list")


def _why(noun: str, selection: Selection) -> str:
    """Why some are told, also of those that may not be meant."""
    is_sure = noun != "run" or selection == EVERYTHING
    return UNREAD if is_sure else f"{UNREAD}; whether they are selected cannot be told"


def _may_mean(selection: Selection, failed: Mapping[str, str]) -> bool:
    """Whether what could not be read may be meant: of a run its experiment is not known."""
    if failed["kind"] != "experiment":
        return not selection.runs
    texts = (failed["id"], failed["name"])
    asked = [text.removeprefix("id:").removeprefix("name:") for text in selection.experiments]
    return not asked or any(fnmatchcase(text, pattern) for text in texts for pattern in asked)
