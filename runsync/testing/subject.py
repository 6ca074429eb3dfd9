"""What is tested: a place of a backend, and what is put into it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from runsync import threads
from runsync.contract.backend import Role
from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.contract.target import Target
from runsync.contract.workspace import Workspace
from runsync.kinds.options import OfVerify
from runsync.model.experiment import Experiment
from runsync.model.identity import origin_of
from runsync.model.import_options import ImportOptions
from runsync.model.progress import Silent
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.testing.memory import MemorySource
from runsync.transfer.engine import transfer
from runsync.transfer.options import VerifyOptions
from runsync.transfer.report import TransferReport
from runsync.transfer.verify import compare_sides
from runsync.transfer.verify_report import VerifyReport
from runsync.transfer.wanted import Wanted

WORKERS = 4


@dataclass(frozen=True)
class Subject:
    """A place of the backend, empty but for what has names that do not begin with `prefix`.

    `source` opens what is in it now, `target` what takes one import, `editor` what changes it, with what it reads from.
    `kinds` are the names of the kinds that it has room for. `asked` are options of kinds that go with each import,
    and with what is read.
    `seed` fills it where nothing is imported into it: runs have the ids of the specimen there, or its ids in the tag
    `runsync.source.run_id`.
    `refused` are what it cannot do: names of methods of its editor, kinds of problems that it may tell, and fields that
    may differ there.
    """

    source: Callable[[], AbstractContextManager[Source]]
    target: Callable[[ImportOptions], AbstractContextManager[Target]] | None = None
    editor: Callable[[], AbstractContextManager[tuple[Source, Editor]]] | None = None
    prefix: str = ""
    kinds: frozenset[str] = frozenset()
    asked: Mapping[str, Any] = field(default_factory=dict)
    seed: Callable[[MemorySource], None] | None = None
    refused: frozenset[str] = frozenset()

    @classmethod
    def of_workspace(cls, open: Callable[[Role], Workspace], **more: Any) -> "Subject":
        """One of a workspace that can be read, written and changed."""

        @contextmanager
        def opened(role: Role) -> Iterator[Workspace]:
            workspace = open(role)
            try:
                yield workspace
            finally:
                workspace.close()

        @contextmanager
        def target(options: ImportOptions) -> Iterator[Target]:
            with opened("target") as workspace:
                yield workspace.target(options)

        @contextmanager
        def editor() -> Iterator[tuple[Source, Editor]]:
            with opened("target") as workspace:
                yield workspace, workspace.editor()

        return cls(lambda: opened("source"), target, editor, **more)

    def carry(
        self, source: MemorySource, selection: Selection | None = None, *, dry_run: bool = False
    ) -> TransferReport:
        """Imports a specimen."""
        assert self.target is not None, "nothing can be imported into this subject"
        with self.target(ImportOptions(asked=self.asked)) as target:
            report = TransferReport("sync", source.place, target.place, dry_run)
            wanted = Wanted(source, selection or Selection())
            transfer(report, wanted, target, WORKERS, Silent(), self.asked)
        return report

    def fill(self, specimen: MemorySource) -> None:
        """Puts a specimen in, to be read."""
        if self.seed is not None:
            self.seed(specimen)
        else:
            assert_whole(self.carry(specimen), self)

    def verify(self, specimen: MemorySource, selection: Selection | None = None) -> VerifyReport:
        """Holds all of a specimen against what is there, files byte by byte."""
        with self.source() as there:
            of_kinds = {name: value for name, value in self.asked.items() if name in OfVerify.__dataclass_fields__}
            options = VerifyOptions(selection=selection, verify_artifacts=True, workers=WORKERS, **of_kinds)
            return compare_sides(specimen, there, options)


def assert_whole(report: TransferReport, subject: Subject) -> None:
    """Nothing failed, and what the subject refuses was named."""
    assert not report.stopped, report.stopped
    assert report.failed == []
    assert [one for one in report.problems if one["kind"] not in subject.refused] == []


def named(specimen: MemorySource) -> Selection:
    """The experiments of a specimen, whatever else there is."""
    return Selection(experiments=tuple(f"name:{e.name}" for e in specimen.all_experiments))


@dataclass(frozen=True)
class Read:
    """What a source tells of the experiments of a specimen."""

    source: Source
    experiments: Sequence[Experiment]
    runs: Mapping[str, Run]
    """By the ids they were born with."""

    def ids(self, **selection: Any) -> list[str]:
        """The runs that a selection means, by the ids they were born with, in the order of batches."""
        found = self.source.batches(self.experiments, Selection(**selection))
        return [origin_of(run) for batch in found for run in batch.runs]


def read(source: Source, specimen: MemorySource) -> Read:
    """All of them. A run that is told twice fails."""
    experiments = source.experiments(Selection())
    mine = {e.name for e in specimen.all_experiments}
    experiments = [e for e in experiments if e.name in mine]
    runs = [run for batch in source.batches(experiments, Selection()) for run in batch.runs]
    assert len({run.run_id for run in runs}) == len(runs), "a run was told twice"
    assert len({origin_of(run) for run in runs}) == len(runs), "there are two copies of a run"
    return Read(source, experiments, {origin_of(run): run for run in runs})


@contextmanager
def pool() -> Iterator[Executor]:
    """Threads for requests."""
    with threads.pool(WORKERS, "runsync-testing") as made:
        yield made
