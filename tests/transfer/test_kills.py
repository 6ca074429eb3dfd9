"""Every verb that writes, on every backend, killed at any write: run again it finishes, as if nothing had happened."""

import random
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.damage import one_of
from support.databases import Databases
from support.killing import run_until
from support.memory import export_to
from support.memory_models import FILES, source_with_models
from support.nights import source_of_night
from support.s3 import Bucket
from support.servers import MlflowServer
from support.stores import DEFAULT, Filler, contents, empty_sqlite, fill, opened, run_id

import runsync
from runsync.bundle.bundle import create_bundle
from runsync.model.identity import origin_of
from runsync.model.selection import Selection

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
KILLS = 2
"""Of each kind, in each scenario: by SIGKILL and by SIGTERM."""


@dataclass
class World:
    """Where one scenario happens: fresh places of each kind."""

    folder: Path
    templates: Path
    bucket: Bucket
    server: Callable[[], MlflowServer]
    databases: Databases
    prefix: str
    env: dict[str, str] = field(default_factory=dict)

    def store(self, name: str = "mlruns") -> Path:
        """A file store with something of everything."""
        shutil.copytree(self.templates / "mlruns", self.folder / name)
        return self.folder / name

    def sqlite(self, name: str = "database") -> str:
        """The same in a database."""
        home = self.folder / name
        home.mkdir()
        shutil.copy(self.templates / "full.db", home)
        shutil.copytree(self.templates / "mlartifacts", home / "mlartifacts")
        return f"sqlite:///{home}/full.db"

    def bundle(self, kind: str, name: str = "nights") -> str:
        """A bundle of three nights on a disk or on S3, with leftovers of forgotten ones."""
        if kind == "disk":
            shutil.copytree(self.templates / "nights", self.folder / name)
            return str(self.folder / name)
        for file in (self.templates / "nights").rglob("*"):
            if file.is_file():
                self.bucket.put(f"{name}/{file.relative_to(self.templates / 'nights').as_posix()}", file.read_bytes())
        return f"{self.bucket.url}/{name}"

    def empty(self, kind: str) -> str:
        """A place to write to."""
        if kind == "disk":
            return str(self.folder / "new")
        if kind == "s3":
            return f"{self.bucket.url}/new"
        if kind == "files":
            return str(self.folder / "target")
        if kind == "sqlite":
            return self._with_root(empty_sqlite(self.folder / "target.db"))
        if kind == "server":
            return self.server().url
        return self._with_root(self.databases.fresh(kind).url)

    def _with_root(self, url: str) -> str:
        """As of a server that was started with an artifact root of its own."""
        with opened(url) as workspace:
            root = f"file://{self.folder}/artifacts/{{experiment_id}}"
            workspace.store.create_experiment(replace(DEFAULT, artifact_location=root))
        return url


Prepared = tuple[tuple[object, ...], Callable[[], None]]
"""A command, and what must be so once it has ended."""


def _sound(where: str) -> None:
    checked = runsync.check(where)
    assert checked.exit_code == 0, checked.faults
    assert runsync.unlock(where).held == []
    pruned = runsync.prune(where)  # no lock that is left stands against it
    assert pruned.exit_code == 0
    assert runsync.check(where).exit_code == 0


def _equal(source: str, target: str, **options: Any) -> None:
    verified = runsync.verify(source, target, verify_artifacts=True, **options)
    assert verified.exit_code == 0, verified.differences


def _no_twins(where: str, prefix: str = "") -> None:
    selection = Selection(experiments=(f"{prefix}*",)) if prefix else Selection()
    copies = [origin_of(run) for run in runsync.list_runs(where, selection=selection).runs]
    assert len(copies) == len(set(copies))


def export(world: World, source_kind: str, kind: str) -> Prepared:
    source = str(world.store()) if source_kind == "files" else world.sqlite()
    where = world.empty(kind)

    def check() -> None:
        _sound(where)
        _equal(source, where)
        assert len(runsync.snapshots(where).snapshots) in (1, 2)

    return ("export", source, where), check


def import_(world: World, kind: str) -> Prepared:
    source, where = world.bundle("disk"), world.empty(kind)
    naming = {"prefix": world.prefix} if kind == "server" else {}

    def check() -> None:
        _equal(source, where, **naming)
        _no_twins(where, world.prefix if naming else "")

    return ("import", source, where, *(("--prefix", world.prefix) if naming else ())), check


def sync(world: World, source_kind: str, kind: str) -> Prepared:
    source = str(world.store()) if source_kind == "files" else world.sqlite()
    where = world.empty(kind)
    naming = {"prefix": world.prefix} if kind == "server" else {}
    accept = ["model-links"] if kind == "server" else []

    def check() -> None:
        _equal(source, where, accept=accept, **naming)
        _no_twins(where, world.prefix if naming else "")

    options = ("--prefix", world.prefix, "--accept", *accept) if naming else ()
    return ("sync", source, where, *options), check


def sync_delete(world: World, kind: str) -> Prepared:
    source, where = world.store(), world.empty(kind)
    assert runsync.sync(str(source), where).exit_code == 0
    gone = run_id("failed")
    shutil.rmtree(source / "101" / gone)

    def check() -> None:
        _equal(str(source), where)
        assert contents(where)["runs"][gone]["lifecycle_stage"] == "deleted"

    return ("sync", source, where, "--delete", "--max-delete", "50%"), check


def copy(world: World, kind: str, goal: str) -> Prepared:
    source, where = world.bundle(kind), world.empty(goal)

    def check() -> None:
        ids = [[one.id for one in runsync.snapshots(place).snapshots] for place in (source, where)]
        assert ids[0] == ids[1]
        _sound(where)
        _equal(source, where)

    return ("copy", source, where), check


def thin_out(world: World, kind: str, verb: str) -> Prepared:
    where = world.bundle(kind)
    last = runsync.snapshots(where).snapshots[-1].id
    arguments: Mapping[str, tuple[object, ...]] = {
        "forget": ("forget", where, "--keep-last", "1", "--yes"),
        "forget --prune": ("forget", where, "--keep-last", "1", "--prune", "--yes"),
        "prune": ("prune", where, "--yes"),
    }

    def check() -> None:
        ids = [one.id for one in runsync.snapshots(where).snapshots]
        assert ids == [last] if verb != "prune" else last == ids[-1] and len(ids) == 3
        _sound(where)
        _equal(str(world.templates / "nights"), where)

    return arguments[verb], check


def repair(world: World, kind: str) -> Prepared:
    where, spare = world.bundle(kind), world.bundle("disk", "spare")
    names = [one_of(Path(spare), part).relative_to(spare).as_posix() for part in ("blob", "metrics part")]
    for name in names:
        if kind == "disk":
            (Path(where) / name).write_bytes(b"broken")
        else:
            world.bucket.put(f"nights/{name}", b"broken")

    def check() -> None:
        _sound(where)
        _equal(spare, where)

    return ("check", where, "--repair", "--from", spare, "--yes"), check


CHANGES: Mapping[str, tuple[str, ...]] = {
    "runs tag": ("runs", "tag", "WHERE", "a=b", "c=d", "--experiment", "alpha"),
    "runs untag": ("runs", "untag", "WHERE", "--tag", "mlflow.rootRunId", "--experiment", "alpha"),
    "runs rename": ("runs", "rename", "WHERE", run_id("failed"), "other"),
    "runs delete": ("runs", "delete", "WHERE", "--experiment", "alpha", "--yes"),
    "runs restore": ("runs", "restore", "WHERE", run_id("deleted"), run_id("parent"), "--yes"),
    "experiments tag": ("experiments", "tag", "WHERE", "alpha", "team=x", "note=y"),
    "experiments untag": ("experiments", "untag", "WHERE", "alpha", "owner"),
    "experiments rename": ("experiments", "rename", "WHERE", "101", "beta"),
    "experiments delete": ("experiments", "delete", "WHERE", "alpha", "--yes"),
    "experiments restore": ("experiments", "restore", "WHERE", "gone", "--yes"),
}


def change(world: World, kind: str, name: str) -> Prepared:
    where = str(world.store()) if kind == "files" else world.sqlite()
    other = str(world.store("undisturbed")) if kind == "files" else world.sqlite("undisturbed")

    def arguments(place: str) -> tuple[object, ...]:
        return tuple(place if word == "WHERE" else word for word in CHANGES[name])

    def check() -> None:
        done = run_until(0, signal.SIGKILL, arguments(other), world.folder)
        assert done.code == 0, done.told
        assert _timeless(contents(where)) == _timeless(contents(other))

    return arguments(where), check


def _timeless(found: dict[str, Any]) -> dict[str, Any]:
    """Without the times of the change itself."""
    own = ("deleted_time", "last_update_time")
    return {
        kind: {id: {k: v for k, v in one.items() if k not in own} for id, one in some.items()}
        for kind, some in found.items()
    }


def fetch(world: World, kind: str) -> Prepared:
    where, run = world.empty(kind), run_id("parent")
    runsync.export(str(world.store()), where)

    def check() -> None:
        there = {file.path: file.size for file in runsync.list_artifacts(where, run).files}
        out = world.folder / "out"
        assert {f.relative_to(out).as_posix(): f.stat().st_size for f in out.rglob("*") if f.is_file()} == there

    return ("artifacts", "get", where, run, "--into", "out"), check


def unlock(world: World, kind: str) -> Prepared:
    where = world.bundle(kind)
    left = run_until(40, signal.SIGKILL, ("check", where), world.folder, world.env)
    assert left.code in (-signal.SIGKILL, 0)
    return ("unlock", where), lambda: _sound(where)


MODEL_ID = f"m-{run_id('model')}"


def _with_models(world: World) -> str:
    """A bundle with registered models."""
    return str(shutil.copytree(world.templates / "models", world.folder / "models"))


def _new_name(world: World) -> str:
    """Of a model: a server keeps those of the kills before."""
    return f"{world.prefix}{secrets.token_hex(4)}"


def import_models(world: World, kind: str) -> Prepared:
    source, where = _with_models(world), world.empty(kind)

    def check() -> None:
        _equal(source, where)
        assert runsync.show_model(where, "churn").aliases == {"champion": 12}

    return ("import", source, where), check


def promote(world: World, kind: str, is_planned: bool = False) -> Prepared:
    source, where, name = _with_models(world), world.empty(kind), _new_name(world)
    first = runsync.promote(source, where, model="churn/12", to_model=name)
    assert (first.exit_code, runsync.show_model(where, name).aliases) == (0, {"champion": 1})
    plan = world.folder / "plan.json"
    if is_planned:
        runsync.promote(source, where, model="churn/1", to_model=name, plan=plan)

    def check() -> None:
        (listed,) = runsync.list_models(where, models=[name]).models
        assert (listed.versions, listed.aliases) == (2, {"champion": 2})
        records = runsync.promotions(where, name).records
        assert [(record.holder, record.version) for record in records] == [(None, 1), (1, 2)]
        _has_model(where, f"{name}@champion", world.folder / "promoted")

    plain = ("promote", source, where, "churn/1", "--to-model", name)
    return ("promote", "--apply", plan) if is_planned else plain, check


def roll_back(world: World, kind: str) -> Prepared:
    source, where, name = _with_models(world), world.empty(kind), _new_name(world)
    runsync.promote(source, where, model="churn/1", to_model=name)
    runsync.promote(source, where, model="churn/12", to_model=name)

    def check() -> None:
        assert runsync.show_model(where, name).aliases == {"champion": 1}
        records = runsync.promotions(where, name).records
        assert [(record.holder, record.version) for record in records] == [(None, 1), (1, 2), (2, 1)]

    return ("promote", "--rollback", where, f"{name}@champion", "--to", 1), check


def fetch_model(world: World, kind: str) -> Prepared:
    where = _with_models(world)
    if kind != "disk":
        source, where = where, world.empty(kind)
        command = runsync.copy if kind == "s3" else runsync.import_
        assert command(source, where).exit_code == 0
    out = world.folder / "out"
    return ("models", "get", where, "churn/1", "--into", out), lambda: _has_files(out)


def _has_model(where: str, model: str, out: Path) -> None:
    assert runsync.get_model(where, model, into=out).exit_code == 0
    _has_files(out)


def _has_files(out: Path) -> None:
    assert {f.relative_to(out).as_posix(): f.read_bytes() for f in out.rglob("*") if f.is_file()} == FILES


SCENARIOS: dict[str, Callable[[World], Prepared]] = {
    **{f"export {s} to {k}": lambda w, s=s, k=k: export(w, s, k) for s, k in  # type: ignore[misc]
       (("files", "disk"), ("sqlite", "s3"))},
    **{f"import into {k}": lambda w, k=k: import_(w, k)  # type: ignore[misc]
       for k in ("files", "sqlite", "postgres", "mysql", "server")},
    **{f"sync {s} into {k}": lambda w, s=s, k=k: sync(w, s, k) for s, k in  # type: ignore[misc]
       (("files", "sqlite"), ("sqlite", "files"), ("files", "server"))},
    **{f"sync --delete into {k}": lambda w, k=k: sync_delete(w, k) for k in ("files", "sqlite")},  # type: ignore[misc]
    **{f"copy {s} to {k}": lambda w, s=s, k=k: copy(w, s, k) for s, k in  # type: ignore[misc]
       (("disk", "disk"), ("disk", "s3"), ("s3", "disk"))},
    **{f"{v} on {k}": lambda w, v=v, k=k: thin_out(w, k, v)  # type: ignore[misc]
       for v in ("forget", "forget --prune", "prune") for k in ("disk", "s3")},
    **{f"check --repair on {k}": lambda w, k=k: repair(w, k) for k in ("disk", "s3")},  # type: ignore[misc]
    **{f"{c} in {k}": lambda w, c=c, k=k: change(w, k, c) for c in CHANGES for k in ("files", "sqlite")},  # type: ignore[misc]
    **{f"artifacts get from {k}": lambda w, k=k: fetch(w, k) for k in ("disk", "s3")},  # type: ignore[misc]
    **{f"unlock on {k}": lambda w, k=k: unlock(w, k) for k in ("disk", "s3")},  # type: ignore[misc]
    **{f"import models into {k}": lambda w, k=k: import_models(w, k) for k in ("files", "sqlite", "mysql")},  # type: ignore[misc]
    **{f"promote into {k}": lambda w, k=k: promote(w, k)  # type: ignore[misc]
       for k in ("files", "sqlite", "postgres", "mysql", "server")},
    **{f"promote --apply into {k}": lambda w, k=k: promote(w, k, True) for k in ("files", "sqlite")},  # type: ignore[misc]
    **{f"promote --rollback in {k}": lambda w, k=k: roll_back(w, k) for k in ("files", "sqlite", "server")},  # type: ignore[misc]
    **{f"models get from {k}": lambda w, k=k: fetch_model(w, k) for k in ("disk", "s3", "files")},  # type: ignore[misc]
}  # fmt: skip
QUICK = ("export files to disk",)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file store, the same as a database, and a bundle of nights."""
    folder = tmp_path_factory.mktemp("templates")
    for address in (str(folder / "mlruns"), empty_sqlite(folder / "full.db")):
        with opened(address) as workspace:
            fill(Filler(workspace))
    bundle = create_bundle(folder / "nights")
    for night in range(4):
        export_to(bundle, source_of_night(night, runs=5))
    runsync.forget(f"{folder / 'nights'}@{bundle.snapshot_ids()[0]}")
    export_to(create_bundle(folder / "models"), source_with_models(MODEL_ID, auc=0.5))
    return folder


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    templates: Path,
    prefix: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    (tmp_path / "tmp").mkdir()
    server = lambda: request.getfixturevalue("mlflow3_b")  # noqa: E731
    databases = request.getfixturevalue("databases")
    env = {**bucket.environment, "TMPDIR": str(tmp_path / "tmp")}
    return World(tmp_path / "world", templates, bucket, server, databases, prefix, env)


def locks_in(world: World) -> set[str]:
    """The lock files of all bundles."""
    return {*map(str, world.folder.glob("*/locks/*")), *(key for key in world.bucket.files() if "/locks/" in key)}


def kill(world: World, name: str, chance: random.Random, number: signal.Signals) -> bool:
    """One scenario: whether the command was killed, and not through before."""
    shutil.rmtree(world.folder, ignore_errors=True)
    world.folder.mkdir()
    for key in world.bucket.files():
        world.bucket.remove(key)
    arguments, check = SCENARIOS[name](world)
    before = locks_in(world)
    moment = chance.randrange(1, chance.choice((8, 60, 300)))
    killed = run_until(moment, number, arguments, world.folder, world.env)
    what = f"{name}, {number.name} at write {moment}: {killed.told}"
    assert killed.code in (0, 130 if number == signal.SIGTERM else -number), what
    assert "Traceback" not in killed.told, what
    if number == signal.SIGTERM:
        assert locks_in(world) <= before, what
    again = run_until(0, number, arguments, world.folder, world.env)
    assert again.code == 0, f"{what}\nagain: {again.told}"
    assert "Traceback" not in again.told, what
    # A run's folder may keep an empty .runsync/, which MLflow passes over, until that run is written to again.
    left = [file for file in world.folder.rglob("*") if file.is_file() and "/.runsync" in str(file)]
    left += [*world.folder.rglob("tmp/*"), *Path(world.env["TMPDIR"]).iterdir()]
    assert left == [], what
    try:
        check()
    except AssertionError as error:
        raise AssertionError(f"{what}\n{error}") from error
    return killed.code != 0


@pytest.mark.parametrize("name", QUICK)
def test_a_command_that_is_killed_finishes_when_it_is_run_again(world: World, name: str) -> None:
    kill(world, name, random.Random(name), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_command_that_is_killed_at_any_write_finishes_when_it_is_run_again(world: World, name: str) -> None:
    chance = random.Random(name)
    for _ in range(KILLS):
        for number in SIGNALS:
            kill(world, name, chance, number)
