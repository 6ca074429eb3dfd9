"""The same selection everywhere: what it means, and that a dry run only tells."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Pair, Runner
from support.proxy import FaultProxy
from support.rich import small_workspace
from support.seed import Seeder, points

from transfer.commands import EACH_RELEASE, NEWEST, Report, export, import_, read, tree, writes
from transfer.database import START, Database

HOUR = 3_600_000


@dataclass
class Small:
    """Two experiments: `cats` with runs an hour apart, one of them deleted, and `dogs` with one."""

    prefix: str
    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """`{cats}` as a name, `{cats id}` as an id, `{late}` as a run's id."""
        for label, experiment_id in self.experiments.items():
            text = text.replace(f"{{{label}}}", self.prefix + label).replace(f"{{{label} id}}", experiment_id)
        for label, run_id in self.runs.items():
            text = text.replace(f"{{{label}}}", run_id)
        return text.replace("{prefix}", self.prefix)


@pytest.fixture
def small(seeder: Seeder, prefix: str) -> Small:
    small = Small(prefix)
    for label in ("cats", "dogs"):
        small.experiments[label] = seeder.create_experiment(prefix + label)
    for hour, label in enumerate(("early", "middle", "late", "gone")):
        home = small.experiments["cats"]
        small.runs[label] = seeder.create_run(home, label, start_time=START + hour * HOUR)
    small.runs["dog"] = seeder.create_run(small.experiments["dogs"], "dog", start_time=START + HOUR)
    for hour, run_id in enumerate(small.runs.values()):
        seeder.log_batch(run_id, metrics=[("r2", hour / 10, START, 0)], params={"hour": str(hour)})
        seeder.put_artifact(run_id, "file.txt", b"bytes\n")
        seeder.finish(run_id, end_time=START + hour * HOUR + 1)
    seeder.delete_run(small.runs["gone"])
    return small


def at(hour: int) -> str:
    return datetime.fromtimestamp(START / 1000 + hour * 3600, UTC).isoformat()


ALL = {"early", "middle", "late", "gone", "dog"}
SELECTIONS: dict[str, tuple[list[str], set[str]]] = {
    "by name": (["--experiment", "{dogs}"], {"dog"}),
    "by id": (["--experiment", "{cats id}"], ALL - {"dog"}),
    "by glob": (["--experiment", "{prefix}[cd]*s"], ALL),
    "several experiments": (["--experiment", "{cats}", "--experiment", "{dogs id}"], ALL),
    "runs by id": (["--run", "{late}", "--run", "{dog}"], {"late", "dog"}),
    "active": (["--experiment", "{prefix}*", "--state", "active"], ALL - {"gone"}),
    "deleted": (["--experiment", "{prefix}*", "--state", "deleted"], {"gone"}),
    "since": (["--experiment", "{prefix}*", "--since", at(2)], {"late", "gone"}),
    "until": (["--experiment", "{prefix}*", "--until", at(1)], {"early", "middle", "dog"}),
    "between": (["--experiment", "{cats}", "--since", at(1), "--until", at(2)], {"middle", "late"}),
    "lately": (["--experiment", "{prefix}*", "--since", "7d"], set()),
    "everything at once": (
        ["--experiment", "{cats}", "--state", "active", "--since", at(1), "--run", "{late}"],
        {"late"},
    ),
}


@NEWEST
def test_an_export_takes_what_is_selected(pair: Pair, small: Small, tmp_path: Path, runsync: Runner) -> None:
    for number, (name, (options, wanted)) in enumerate(SELECTIONS.items()):
        bundle = tmp_path / f"bundle {number}"
        options = [small.filled(option) for option in options]
        foretold = export(runsync, pair.source.url, bundle, *options, "--dry-run")
        assert not bundle.exists()
        done = export(runsync, pair.source.url, bundle, *options)
        assert (name, carried(done, small)) == (name, wanted)
        assert (name, tallies(foretold)) == (name, tallies(done))


FILTERS = {
    "metrics.r2 > 0.1 AND metrics.r2 < 0.35": {"late", "gone"},
    "params.hour = '1'": {"middle"},
    "attributes.run_name = 'dog'": {"dog"},
    "metrics.r2 > 7": set(),
    "metrics.r2 > 7 OR NOT (run_name != 'dog')": {"dog"},
}


@EACH_RELEASE
def test_an_export_takes_what_a_filter_finds(pair: Pair, small: Small, tmp_path: Path, runsync: Runner) -> None:
    for number, (expression, wanted) in enumerate(FILTERS.items()):
        options = (pair.source.url, tmp_path / f"bundle {number}", small.prefix + "*", "--filter", expression)
        assert (expression, carried(export(runsync, *options), small)) == (expression, wanted)
        narrower = export(runsync, *options, "--until", at(0))
        assert (expression, carried(narrower, small)) == (expression, wanted & {"early"})


FEW = ("by id", "runs by id", "deleted", "between", "lately", "everything at once")


@pytest.mark.parametrize("names", [FEW, pytest.param(tuple(SELECTIONS), marks=pytest.mark.slow)], ids=["few", "all"])
@NEWEST
def test_an_import_takes_what_is_selected(
    pair: Pair, small: Small, bundle: Path, runsync: Runner, names: tuple[str, ...]
) -> None:
    export(runsync, pair.source.url, bundle, small.prefix + "*")
    for number, name in enumerate(names):
        options, wanted = SELECTIONS[name]
        place = f"{number}/"
        options = [*map(small.filled, options), "--prefix", small.prefix + place]
        foretold = import_(runsync, bundle, pair.target.url, *options, "--dry-run")
        done = import_(runsync, bundle, pair.target.url, *options)
        assert (name, carried(done, small)) == (name, wanted)
        assert (name, tallies(foretold)) == (name, tallies(done))
        found = read(pair.target.url, small.prefix + place + "*", artifacts=False)
        assert {run["info"]["run_name"] for run in found.runs.values()} == wanted


@NEWEST
def test_an_import_takes_what_a_filter_finds(pair: Pair, small: Small, bundle: Path, runsync: Runner) -> None:
    export(runsync, pair.source.url, bundle, small.prefix + "*")
    for number, (expression, wanted) in enumerate(FILTERS.items()):
        options = ("--filter", expression, "--prefix", f"{small.prefix}by filter {number}/")
        done = import_(runsync, bundle, pair.target.url, *options)
        assert (expression, carried(done, small)) == (expression, wanted)


@NEWEST
def test_a_selection_that_means_nothing_is_an_error(pair: Pair, small: Small, bundle: Path, runsync: Runner) -> None:
    outside = ("--experiment", small.prefix + "dogs", "--run", small.runs["late"])
    for *others, option, value in (("--experiment", small.prefix + "mice"), ("--run", "f" * 32), outside):
        result = runsync("export", pair.source.url, bundle, *others, option, value)
        assert result.returncode == 1, result.stdout + result.stderr
        assert value in result.stderr
        assert len(result.stderr.splitlines()) == 1
    for option, value in (("--since", "yesterday"), ("--since", "2026-11-01T12:00"), ("--state", "lost")):
        result = runsync("export", pair.source.url, bundle, option, value)
        assert result.returncode == 2, result.stdout + result.stderr
        assert value in result.stderr


@EACH_RELEASE
def test_a_dry_run_writes_nothing_and_foretells_the_act(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    facts = small_workspace(seeder, prefix)
    source, target = Database(pair.source), Database(pair.target)
    before = source.sizes()
    foretold = export(runsync, pair.source.url, bundle, facts.pattern, "--dry-run")
    assert foretold["dry_run"]
    assert not bundle.exists()
    done = export(runsync, pair.source.url, bundle, facts.pattern)
    assert tallies(foretold) == tallies(done)
    assert source.sizes() == before

    bundle_before = tree(bundle)
    assert tallies(export(runsync, pair.source.url, bundle, facts.pattern, "--dry-run"))
    assert tree(bundle) == bundle_before

    target_before = target.sizes()
    foretold = imported_dry(pair.target.url, bundle, runsync)
    assert (target.sizes(), tree(bundle)) == (target_before, bundle_before)
    done = import_(runsync, bundle, pair.target.url)
    assert tallies(foretold) == tallies(done)
    assert foretold["not_carried"] == done["not_carried"]
    assert tree(bundle) == bundle_before

    points(seeder, facts.runs["running"], "loss", 3)
    export(runsync, pair.source.url, bundle, facts.pattern)
    foretold = imported_dry(pair.target.url, bundle, runsync)
    done = import_(runsync, bundle, pair.target.url)
    assert tallies(foretold) == tallies(done)
    assert done["runs"]["updated"] == 1


def imported_dry(url: str, bundle: Path, runsync: Runner) -> Report:
    """The report of a dry run that is seen to write nothing."""
    with FaultProxy(url) as proxy:
        told = import_(runsync, bundle, proxy.url, "--dry-run")
        assert writes(proxy) == []
    shown = runsync("import", bundle, url, "--dry-run")
    assert shown.returncode == 0
    assert "nothing was written" in shown.stdout
    assert "runs: ids, " in shown.stdout
    return told


def carried(told: Report, small: Small) -> set[str]:
    """The labels of the runs that a report says are carried."""
    return {label for label, run_id in small.runs.items() if run_id in told["id_map"]["runs"]}


def tallies(told: Report) -> Report:
    """How many of what."""
    return {kind: told[kind] for kind in ("experiments", "runs")}
