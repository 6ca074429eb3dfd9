"""What every target must hold. What it took is read back through a source of the same subject."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from runsync.errors import RequestRefused, WorkspaceUnreachable, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import PARENT
from runsync.model.run import ArtifactFile, Batch, Run
from runsync.model.selection import Selection
from runsync.model.times import now
from runsync.testing import specimen as specimens
from runsync.testing.memory import START, MemorySource
from runsync.testing.specimen import Specimen
from runsync.testing.subject import Subject, assert_whole, named, read


class TargetSuite:
    """Subclass it, with a fixture `subject`, which may be shared: each test has experiments of its own."""

    def test_everything_arrives_and_again_nothing_is_written(self, subject: Subject) -> None:
        """Nested and deleted runs, odd points and files, and all kinds of entities."""
        specimen = specimens.whole(subject.prefix, subject.kinds)
        report = subject.carry(specimen)
        assert_whole(report, subject)
        assert (report.runs.created, report.experiments.created) == (5, 2)
        assert {name: tally.created for name, tally in report.objects.items()} == _counts(specimen), report.not_carried
        self._assert_there(subject, specimen)
        before = self._told(subject, specimen)
        again = subject.carry(specimen)
        assert_whole(again, subject)
        assert (again.runs.unchanged, again.metric_points, again.artifacts) == (5, 0, 0)
        assert {name: tally.unchanged for name, tally in again.objects.items()} == _counts(specimen)
        assert self._told(subject, specimen) == before

    def test_a_dry_run_tells_what_would_be_done_and_writes_nothing(self, subject: Subject) -> None:
        """Of what is new, and of what is there."""
        specimen = specimens.small(subject.prefix)
        told = subject.carry(specimen, dry_run=True)
        assert self._read(subject, specimen) is None
        assert told.runs.created == 3
        assert_whole(subject.carry(specimen), subject)
        before = self._told(subject, specimen)
        specimen.runs[2] = replace(specimen.runs[2], tags={**specimen.runs[2].tags, "note": "y"})
        told = subject.carry(specimen, dry_run=True)
        assert (told.runs.updated, told.runs.unchanged) == (1, 2)
        assert self._told(subject, specimen) == before

    def test_what_changed_is_brought_and_nothing_else(self, subject: Subject) -> None:
        """New points, files and tags; a run that was deleted since, and one that was restored."""
        specimen = specimens.small(subject.prefix)
        first, second, third = specimen.runs
        specimen.runs[1] = replace(second, lifecycle_stage=DELETED)
        assert_whole(subject.carry(specimen), subject)
        more = specimens.small("")
        grown = {"loss": [(0, START, 1.0), (1, START + 1, 0.5), (2, START + 2, 0.25)]}
        latest = more.add("grown", grown, more.home).latest_metrics
        specimen.runs = [
            replace(first, latest_metrics=latest, tags={**first.tags, "more": "1"}),
            second,
            replace(third, lifecycle_stage=DELETED),
        ]
        specimen.points = {**specimen.points, first.run_id: grown}
        specimen.files[first.run_id]["b.txt"] = b"more"
        report = subject.carry(specimen)
        assert_whole(report, subject)
        assert (report.runs.created, report.runs.unchanged + report.runs.updated) == (0, 3)
        found = self._assert_there(subject, specimen)
        assert found[second.run_id] == ACTIVE

    def test_one_bad_item_does_not_take_the_others_and_is_brought_later(self, subject: Subject) -> None:
        """A file and a history that cannot be read are named; the next import finishes them."""
        specimen = specimens.small(subject.prefix)
        first, second, _ = specimen.runs
        report = subject.carry(_Broken(specimen, second.run_id))
        assert not report.stopped
        assert report.exit_code == 3
        named_bad = {one["run_id"] for one in report.problems} | {one["id"] for one in report.failed}
        assert named_bad == {first.run_id, second.run_id}
        assert_whole(subject.carry(specimen), subject)
        self._assert_there(subject, specimen)

    def test_an_import_that_was_stopped_is_finished_by_the_next(self, subject: Subject) -> None:
        """Without a second copy of what was in."""
        specimen = specimens.small(subject.prefix)
        specimen.batch_size = 1
        report = subject.carry(_Ending(specimen))
        assert report.stopped
        assert_whole(subject.carry(specimen), subject)
        self._assert_there(subject, specimen)

    def test_only_what_is_selected_arrives(self, subject: Subject) -> None:
        """And the rest with the next import."""
        specimen = specimens.small(subject.prefix)
        first = specimen.runs[0].run_id
        assert subject.carry(specimen, Selection(runs=(first,))).runs.created == 1
        found = self._read(subject, specimen)
        assert found is not None
        assert list(found) == [first]
        report = subject.carry(specimen, named(specimen))
        assert (report.runs.created, report.runs.unchanged) == (2, 1)
        self._assert_there(subject, specimen)

    def test_ids_are_those_of_the_target(self, subject: Subject) -> None:
        """A link to a parent that comes later names the copy."""
        specimen = specimens.small(subject.prefix)
        child, parent, _ = specimen.runs
        specimen.runs[0] = replace(child, tags={**child.tags, PARENT: parent.run_id})
        assert_whole(subject.carry(specimen), subject)
        with subject.source() as source:
            runs = read(source, specimen).runs
            assert runs[child.run_id].tags[PARENT] == runs[parent.run_id].run_id

    def test_entities_follow_what_changed(self, subject: Subject) -> None:
        """Another description, tag or right, an alias that names another version; nothing else is written."""
        specimen = specimens.whole(subject.prefix, subject.kinds)
        if not specimen.models:
            pytest.skip("it has no room for any kind")
        assert_whole(subject.carry(specimen), subject)
        changed = 0
        for held in specimen.models.values():
            item = held.items[0]
            held.items[0] = _changed(item)
            changed += held.items[0] is not item
        report = subject.carry(specimen)
        assert_whole(report, subject)
        assert sum(tally.updated for tally in report.objects.values()) == changed
        self._assert_there(subject, specimen)

    def test_an_experiment_that_somebody_deleted_stays_so_with_all_that_is_in_it(self, subject: Subject) -> None:
        """What would go into it is named."""
        specimen = specimens.whole(subject.prefix, subject.kinds)
        assert_whole(subject.carry(specimen), subject)
        try:
            self._delete_home(subject, specimen)
        except WrongUsage:
            pytest.skip("nothing can be deleted in it")
        for held in specimen.models.values():
            held.items[0] = _changed(held.items[0])
        for report in (subject.carry(specimen, dry_run=True), subject.carry(specimen)):
            assert report.exit_code == 3
            assert {one["kind"] for one in report.failed} >= {"experiment", "run"}
        with subject.source() as source:
            states = {e.name: e.lifecycle_stage for e in read(source, specimen).experiments}
        assert set(states.values()) == {DELETED}

    def test_a_file_of_an_entity_that_cannot_be_read_is_named_and_brought_later(self, subject: Subject) -> None:
        """The others arrive."""
        specimen = specimens.whole(subject.prefix, subject.kinds)
        of_files = {name: held for name, held in specimen.models.items() if held.paths}
        if not of_files:
            pytest.skip("no kind that it has room for has files of its own")
        some = frozenset(max(held.paths) for held in of_files.values())
        specimen.models |= {name: replace(held, unreadable=some) for name, held in of_files.items()}
        report = subject.carry(specimen)
        assert not report.stopped
        assert report.exit_code == 3
        assert [path for path in some if path not in str((report.problems, report.failed))] == []
        specimen.models |= of_files
        assert_whole(subject.carry(specimen), subject)
        self._assert_there(subject, specimen)

    def _delete_home(self, subject: Subject, specimen: Specimen) -> None:
        """Raises WrongUsage where nothing can be changed."""
        if subject.editor is None:
            raise WrongUsage("it is no workspace")
        with subject.editor() as (source, editor):
            (home,) = (e for e in read(source, specimen).experiments if e.name == specimen.home.name)
            editor.delete_experiment(home, now(), ())

    def _assert_there(self, subject: Subject, specimen: Specimen) -> dict[str, str]:
        """All of it, as a source of the subject tells it; gives the states of runs."""
        verified = subject.verify(specimen)
        assert [d for d in verified.differences if d.field.partition(".")[0] not in subject.refused] == []
        found = self._read(subject, specimen)
        assert found is not None
        assert found == {run.run_id: run.lifecycle_stage for run in specimen.runs}
        return found

    def _read(self, subject: Subject, specimen: Specimen) -> dict[str, str] | None:
        """The states of the runs that are there; None where not even an experiment is."""
        with subject.source() as source:
            found = read(source, specimen)
            if not found.experiments:
                return None
            return {origin: run.lifecycle_stage for origin, run in found.runs.items()}

    def _told(self, subject: Subject, specimen: Specimen) -> dict[str, Any]:
        """All that a source tells of it, but the addresses of its files."""
        with subject.source() as source:
            found = read(source, specimen)
            return {
                "experiments": [e.to_document() for e in found.experiments],
                "runs": {origin: run.to_document() for origin, run in sorted(found.runs.items())},
                "files": {origin: source.artifacts(run) for origin, run in sorted(found.runs.items())},
            }


def _changed(item: Any) -> Any:
    """As it may be some day; a revision of a notebook never changes."""
    if hasattr(item, "description"):
        return replace(item, description="another text")
    if hasattr(item, "alias"):
        return replace(item, version=3)
    if hasattr(item, "grants"):
        return replace(item, grants=(replace(item.grants[0], level="CAN_EDIT"),))
    return replace(item, tags={**item.tags, "more": "1"}) if hasattr(item, "tags") else item


def _counts(specimen: Specimen) -> dict[str, int]:
    return {name: len(held.items) for name, held in specimen.models.items()}


class _Around(MemorySource):
    """A specimen, some of which goes wrong."""

    def __init__(self, specimen: Specimen) -> None:
        super().__init__(specimen.all_experiments, specimen.runs, specimen.points, specimen.files)
        self.batch_size = specimen.batch_size


class _Broken(_Around):
    """The history of one run ends amid its points, and a file cannot be read."""

    def __init__(self, specimen: Specimen, run_id: str) -> None:
        super().__init__(specimen)
        self._run_id = run_id

    def of(self, run_id: str) -> Iterator[pa.RecordBatch]:
        yield from super().of(run_id)
        if run_id == self._run_id:
            raise RequestRefused("the source said no")

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        if file.path == "a.txt":
            raise RequestRefused("the source said no")
        yield from super().read_artifact(run, file)


class _Ending(_Around):
    """Nobody answers any more after the first batch."""

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        found = super().batches(experiments, selection)
        yield next(found)
        raise WorkspaceUnreachable("nobody answers")
