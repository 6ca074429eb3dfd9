"""What every editor must hold."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.errors import RequestRefused
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import own_tags_removed
from runsync.model.run import Run
from runsync.model.times import now
from runsync.testing import specimen as specimens
from runsync.testing.specimen import Specimen
from runsync.testing.subject import Subject, read


@dataclass(frozen=True)
class Edited:
    """An editor, and what a source that is opened for each look tells of what it changes."""

    subject: Subject
    specimen: Specimen
    editor: Editor

    @property
    def runs(self) -> dict[str, Run]:
        """By their names at first."""
        names = {run.run_id: run.name for run in self.specimen.runs}
        with self.subject.source() as source:
            return {names[origin]: run for origin, run in read(source, self.specimen).runs.items()}

    def experiment(self, name: str = "") -> Experiment:
        """The one that is kept, as it is now."""
        with self.subject.source() as source:
            return _named(source, name or self.specimen.home.name)

    @property
    def states(self) -> dict[str, str]:
        """Of the runs."""
        return {name: run.lifecycle_stage for name, run in self.runs.items()}


def _named(source: Source, name: str) -> Experiment:
    from runsync.model.selection import Selection

    return next(e for e in source.experiments(Selection()) if e.name == name)


class EditorSuite:
    """Subclass it, with a fixture `subject`, which may be shared: each test has experiments of its own."""

    @pytest.fixture
    def edited(self, subject: Subject) -> Iterator[Edited]:
        """An experiment with three runs: first, second, third."""
        specimen = specimens.small(subject.prefix)
        specimen.gone = replace(specimen.gone, lifecycle_stage=ACTIVE)
        specimen.all_experiments = [specimen.home, specimen.gone]
        subject.fill(specimen)
        assert subject.editor is not None, "nothing can be changed in this subject"
        with subject.editor() as (_, editor):
            yield Edited(subject, specimen, editor)

    def test_runs_get_names_and_tags_and_lose_tags(self, edited: Edited) -> None:
        """Again is harmless, and nothing else changes."""
        before = edited.runs["third"]
        for _ in range(2):
            edited.editor.rename_run(before.run_id, "another name")
            edited.editor.tag_run(before.run_id, {"team": "vision", "naïve 1": "a\nb"})
            edited.editor.untag_run(before.run_id, ["note"])
            edited.editor.untag_run(before.run_id, ["never there"])
        after = edited.runs["third"]
        assert (after.name, after.status, after.params) == ("another name", before.status, before.params)
        tags = own_tags_removed(after.tags)
        assert (tags["team"], tags["naïve 1"], tags.get("note")) == ("vision", "a\nb", None)

    def test_a_run_is_deleted_and_restored(self, edited: Edited) -> None:
        """Again is harmless; a deleted one takes no changes; the others stay as they are."""
        run = edited.runs["first"]
        for _ in range(2):
            edited.editor.delete_run(run.run_id, now())
        assert edited.states == {"first": DELETED, "second": ACTIVE, "third": ACTIVE}
        with pytest.raises(RequestRefused):
            edited.editor.tag_run(run.run_id, {"a": "b"})
        for _ in range(2):
            edited.editor.restore_run(edited.runs["first"])
        assert set(edited.states.values()) == {ACTIVE}
        assert not edited.editor.is_unfinished(edited.runs["first"])

    def test_an_experiment_gets_a_name_and_tags(self, edited: Edited) -> None:
        """A name that another has is refused."""
        home, name = edited.experiment(), f"{edited.specimen.home.name} renamed"
        edited.editor.tag_experiment(home.experiment_id, {"team": "speech", "more": "1"})
        tags = own_tags_removed(edited.experiment().tags)
        assert (tags["team"], tags["more"], tags["naïve 1"]) == ("speech", "1", "a\nb")
        if "untag_experiment" in edited.subject.refused:
            with pytest.raises(RequestRefused):
                edited.editor.untag_experiment(home.experiment_id, ["naïve 1"])
        else:
            edited.editor.untag_experiment(home.experiment_id, ["naïve 1"])
            assert "naïve 1" not in edited.experiment().tags
        with pytest.raises(RequestRefused):
            edited.editor.rename_experiment(home.experiment_id, edited.specimen.gone.name)
        if "rename_experiment" in edited.subject.refused:
            return
        edited.editor.rename_experiment(home.experiment_id, name)
        assert edited.experiment(name).experiment_id == home.experiment_id

    def test_an_experiment_goes_with_its_runs_and_comes_back_without_those_that_were_deleted_before(
        self, edited: Edited
    ) -> None:
        """And no note of it stays behind."""
        first = edited.runs["first"]
        edited.editor.delete_run(first.run_id, now())
        home = edited.experiment()
        edited.editor.delete_experiment(home, now(), [first.run_id])
        gone, runs = edited.experiment(), list(edited.runs.values())
        assert (gone.lifecycle_stage, {run.lifecycle_stage for run in runs}) == (DELETED, {DELETED})
        assert edited.editor.deleted_before(gone, runs).run_ids == (first.run_id,)
        edited.editor.restore_experiment(gone, [first.run_id])
        edited.editor.put_back(edited.runs["first"])
        edited.editor.forget_deletion(edited.experiment(), [first.run_id])
        back = edited.experiment()
        assert (back.lifecycle_stage, edited.states) == (
            ACTIVE,
            {"first": DELETED, "second": ACTIVE, "third": ACTIVE},
        )
        assert not edited.editor.is_half_restored(back, list(edited.runs.values()))

    def test_what_is_not_there_is_refused(self, edited: Edited) -> None:
        """As one item's failure."""
        with pytest.raises(RequestRefused):
            edited.editor.tag_run("0" * 32, {"a": "b"})
        with pytest.raises(RequestRefused):
            edited.editor.delete_run("0" * 32, now())
