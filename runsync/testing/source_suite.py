"""What every source must hold."""

from collections.abc import Iterator

import pytest

from runsync.errors import ITEM_ERRORS, NothingSelected
from runsync.kinds import KINDS
from runsync.kinds.scope import Scope
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.fields import parse_order
from runsync.model.identity import fingerprint, own_tags_removed
from runsync.model.points import as_table, distinct, missing
from runsync.model.run import ArtifactFile, Batch
from runsync.model.selection import Selection
from runsync.testing import specimen as specimens
from runsync.testing.specimen import Specimen
from runsync.testing.specimen_kinds import CODE, FILES
from runsync.testing.subject import Read, Subject, named, pool, read


class SourceSuite:
    """Subclass it, with a fixture `subject` of the scope of a class."""

    @pytest.fixture(scope="class")
    @classmethod
    def specimen(cls, subject: Subject) -> Specimen:
        """What the subject is filled with, once for all tests."""
        made = specimens.whole(subject.prefix, subject.kinds)
        subject.fill(made)
        return made

    @pytest.fixture
    def there(self, subject: Subject, specimen: Specimen) -> Iterator[Read]:
        """What a source that was opened for the test tells of it."""
        with subject.source() as source:
            yield read(source, specimen)

    def test_experiments_are_told_with_their_names_states_and_tags(self, there: Read, specimen: Specimen) -> None:
        """Each once."""
        found = {e.name: (e.lifecycle_stage, own_tags_removed(e.tags)) for e in there.experiments}
        assert found.keys() == {e.name for e in specimen.all_experiments}
        assert found[specimen.gone.name][0] == DELETED
        state, tags = found[specimen.home.name]
        assert state == ACTIVE
        assert specimen.home.tags.items() <= tags.items()

    def test_experiments_are_chosen_by_name_id_and_state(self, there: Read, specimen: Specimen) -> None:
        """What is not there is told as such."""
        kept = next(e for e in there.experiments if e.name == specimen.home.name)
        for wanted in (f"name:{kept.name}", f"id:{kept.experiment_id}", f"{kept.name[:-1]}*"):
            assert [e.name for e in there.source.experiments(Selection(experiments=(wanted,)))] == [kept.name]
        active = there.source.experiments(Selection(state="active"))
        assert specimen.gone.name not in {e.name for e in active}
        with pytest.raises(NothingSelected):
            there.source.experiments(Selection(experiments=("name:no such experiment",)))

    def test_runs_are_told_once_with_all_that_they_are(self, there: Read, specimen: Specimen) -> None:
        """Names, states, times, params, tags, inputs."""
        assert there.runs.keys() == {run.run_id for run in specimen.runs}
        for wanted in specimen.runs:
            found = there.runs[wanted.run_id]
            told = (found.name, found.status, found.lifecycle_stage, found.start_time, found.end_time)
            assert told == (wanted.name, wanted.status, wanted.lifecycle_stage, wanted.start_time, wanted.end_time)
            assert dict(found.params) == dict(wanted.params)
            assert {d.digest for d in found.dataset_inputs} == {d.digest for d in wanted.dataset_inputs}
            assert {m.key for m in found.latest_metrics} == {m.key for m in wanted.latest_metrics}

    def test_runs_are_selected_in_every_way(self, there: Read, specimen: Specimen) -> None:
        """By state, time, id, and filters, also those that a backend does not know itself."""
        ids = {run.name: run.run_id for run in specimen.runs}
        parent = there.runs[ids["parent"]]
        assert set(there.ids(state="deleted")) == {ids["deleted"], ids["buried"]}
        assert set(there.ids(state="active")) == {ids["child"], ids["parent"], ids["failed"]}
        assert set(there.ids(since=parent.start_time, until=parent.start_time)) == {ids["parent"]}
        assert there.ids(runs=(parent.run_id,)) == [ids["parent"]]
        for text, wanted in (
            ("params.lr = '0.1'", {"parent"}),
            ("metrics.loss > 100 AND attributes.status = 'FINISHED'", {"parent"}),
            ("params.lr = '0.1' OR attributes.status = 'FAILED'", {"parent", "failed"}),
            ("NOT attributes.run_name LIKE '%e%'", {"child"}),
        ):
            found = set(there.ids(filter=text, state="active"))
            assert found == {ids[name] for name in wanted}, text

    def test_runs_come_in_the_order_that_is_asked_for(self, there: Read) -> None:
        """Newest first, or by a metric; as many as are wanted."""
        newest = there.source.in_order(there.experiments, Selection(), limit=3)
        starts = sorted((run.start_time or 0 for run in there.runs.values()), reverse=True)
        assert [run.start_time for run in newest] == starts[:3]
        by_metric = there.source.in_order(there.experiments, Selection(state="active"), [parse_order("metrics.loss")])
        assert [run.name for run in by_metric] == ["child", "parent", "failed"]

    def test_a_batch_has_the_runs_that_are_still_there(self, there: Read) -> None:
        """What is not there is left out."""
        wanted = [run.run_id for run in there.runs.values()][:2]
        found = there.source.batch([*wanted, "0" * 32], there.experiments)
        assert sorted(run.run_id for run in found.runs) == sorted(wanted)

    def test_all_points_are_told(self, there: Read, specimen: Specimen) -> None:
        """NaN, infinities, negative steps and two values at one step among them; in order, key by key."""
        batch = Batch(tuple(there.runs.values()))
        with (
            pool() as threads,
            there.source.histories(batch, threads) as found,
            specimen.histories(batch, threads) as wanted,
        ):
            for origin, run in there.runs.items():
                points = as_table(found.of(run.run_id))
                lacking = missing(distinct(as_table(wanted.of(origin))), distinct(points))
                assert lacking.to_pylist() == [], run.name
                assert len(distinct(points)) == sum(map(len, specimen.points[origin].values())), run.name
                assert len(list(dict.fromkeys(points["key"].to_pylist()))) == len(specimen.points[origin])

    def test_a_fingerprint_is_the_same_at_every_look(self, subject: Subject, there: Read, specimen: Specimen) -> None:
        """Else each transfer would read everything again."""
        with subject.source() as source:
            again = read(source, specimen).runs
        assert {id: fingerprint(run) for id, run in again.items()} == {
            id: fingerprint(run) for id, run in there.runs.items()
        }

    def test_files_are_listed_and_read(self, subject: Subject, there: Read, specimen: Specimen) -> None:
        """Sorted by path, each with its size; whatever they are called."""
        for origin, run in there.runs.items():
            files = there.source.artifacts(run)
            wanted = specimen.files[origin]
            assert [file.path for file in files] == sorted(file.path for file in files)
            if "artifact" not in subject.refused:
                assert {file.path for file in files} == wanted.keys()
            for file in files:
                content = b"".join(there.source.read_artifact(run, file))
                assert file.size == len(content)
                assert file.path.endswith("MLmodel") or content == wanted[file.path]

    def test_a_file_that_is_not_there_is_refused(self, there: Read) -> None:
        """As one item's failure."""
        run = next(run for run in there.runs.values() if run.name == "parent")
        with pytest.raises(ITEM_ERRORS):
            b"".join(there.source.read_artifact(run, ArtifactFile("no/such file", 5)))

    def test_counts_that_cost_little_are_right(self, there: Read) -> None:
        """None is fine too."""
        counts = there.source.known_counts(there.experiments)
        homes = [run.experiment_id for run in there.runs.values()]
        if counts is not None:
            assert {e.experiment_id: counts.get(e.experiment_id, 0) for e in there.experiments} == {
                e.experiment_id: homes.count(e.experiment_id) for e in there.experiments
            }

    def test_what_is_unlike_another_source_is_among_what_is_meant(self, there: Read, specimen: Specimen) -> None:
        """Each once; beside a source of which nothing is known that is everything."""
        batches = there.source.unlike(specimen, there.experiments, Selection())
        found = [run.run_id for batch in batches for run in batch.runs]
        assert sorted(found) == sorted(run.run_id for run in there.runs.values())

    def test_many_threads_may_read_at_once(self, there: Read) -> None:
        """Each sees what one alone sees."""

        def look(_: int) -> tuple[list[str], list[str], int]:
            ids = sorted(there.ids())
            run = next(run for run in there.runs.values() if run.name == "parent")
            with pool() as other, there.source.histories(Batch((run,)), other) as found:
                count = sum(points.num_rows for points in found.of(run.run_id))
            return ids, [file.path for file in there.source.artifacts(run)], count

        with pool() as threads:
            first, *others = threads.map(look, range(4))
        assert all(other == first for other in others)

    def test_all_kinds_that_it_has_are_told_and_no_others(self, subject: Subject, there: Read) -> None:
        """None stands for those that it cannot have."""
        has = {kind.name for kind in KINDS if there.source.entities(kind) is not None}
        assert subject.kinds <= has

    def test_entities_are_listed_once_and_told_whole(self, subject: Subject, there: Read, specimen: Specimen) -> None:
        """With their files or bytes; but for what an import may have put anywhere."""
        scope = Scope((*there.experiments,), subject.asked)
        scope.note(there.runs.values())
        for name, held in specimen.models.items():
            side = there.source.entities(held.kind)
            assert side is not None, name
            if not side.is_exact and held.kind.uncompared(scope, ""):
                continue
            mine = {e.experiment_id for e in there.experiments if e.name == specimen.home.name}
            found = [
                item
                for item in side.list(scope)
                if getattr(item, "experiment_id", "") in mine or specimen.model in " ".join((item.name, *item.key))
            ]
            assert len({item.key for item in found}) == len(found) == len(held.items), name
            whole = list(map(side.complete, found))
            if held.kind.rows_name:
                rows = (sum(held.kind.rows(item).num_rows for item in items) for items in (whole, held.items))
                assert len(set(rows)) == 1, name
            assert {file.path for item in whole for file in held.kind.files(item)} == held.paths, name
            for item in whole:
                if held.kind.has_bytes:
                    assert b"".join(side.read(item)[1]) == CODE
                for file in held.kind.files(item):
                    content = b"".join(side.read_file(item, file))
                    assert file.size == len(content)
                    assert file.path.endswith("MLmodel") or content == FILES[file.path]

    def test_a_source_that_was_closed_may_be_opened_again(self, subject: Subject, specimen: Specimen) -> None:
        """And tells the same."""
        names = []
        for _ in range(2):
            with subject.source() as source:
                names.append(sorted(e.name for e in source.experiments(named(specimen))))
        assert names[0] == names[1] == sorted(e.name for e in specimen.all_experiments)
