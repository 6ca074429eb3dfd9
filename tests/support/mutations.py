"""Every way to break every file of a bundle, one at a time."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runsync.bundle.bundle import create_bundle
from runsync.kinds.permissions import Grant, Permissions
from runsync.testing.memory import START, MemorySource, run_with_metrics, small_source
from runsync.testing.memory_kinds import MemoryNotebooks, MemoryPermissions
from support.memory import export_to
from support.memory_models import with_models

NOTEBOOK = "/Users/ada@example.com/train"
NIGHTS = 3


@dataclass(frozen=True)
class Mutation:
    """What is done to a file (a name below the bundle); `other` is a second one, where two take part."""

    how: str
    name: str
    act: Callable[[Path, Path], object]
    other: str = ""

    def __str__(self) -> str:
        return f"{self.how} {self.name}" + (f", {self.other}" if self.other else "")

    def apply(self, bundle: Path) -> None:
        """Does it."""
        self.act(bundle / self.name, bundle / self.other)


def source_of(night: int) -> MemorySource:
    """The small source with an entity of every kind; each night another run, and one that has changed."""
    source = with_models(small_source())
    tags = {"mlflow.databricks.notebookPath": NOTEBOOK, "mlflow.databricks.notebookID": "7"}
    source.runs[0] = replace(source.runs[0], params={"night": str(night)}, tags=tags)
    points = {"loss": [(0, START + night, 0.5)]}
    files = {"same.bin": b"same for all", "own.bin": b"night %d" % night}
    for past in range(night + 1):
        run_id = f"night{past}"
        source.points = {**source.points, run_id: points}
        source.files[run_id] = {**files, "own.bin": b"night %d" % past}
        source.runs.append(run_with_metrics(run_id, points))
    granted = (Grant("group", "science", "CAN_EDIT"),)
    source.notebooks = MemoryNotebooks({(NOTEBOOK, "", "SOURCE"): b"print(%d)" % night}, START + night)
    source.permissions = MemoryPermissions({"1": Permissions("1", "kept", grants=granted)})
    return source


def export_nights(folder: Path) -> None:
    """A bundle of several snapshots with entities of every kind."""
    bundle = create_bundle(folder)
    for night in range(NIGHTS):
        export_to(bundle, source_of(night), notebooks=("SOURCE",))


def names_in(bundle: Path) -> list[str]:
    """Its files."""
    return sorted(f.relative_to(bundle).as_posix() for f in bundle.rglob("*") if f.is_file())


def mutations(bundle: Path) -> Iterator[Mutation]:
    """All of them. Every one leaves something broken that a snapshot needs."""
    names = names_in(bundle)
    for name in names:
        size = (bundle / name).stat().st_size
        for position in sorted({0, size // 3, size // 2, size - 1}) if size else ():
            yield Mutation(f"flip byte {position} of", name, partial(_flip, position=position))
        # The marker has no hash to vouch for it, and says all it has to say without its last line end.
        shorter = size - 2 if name == "runsync.json" else size - 1
        for length in sorted({0, size // 2, shorter} - {size, -1}):
            yield Mutation(f"cut to {length}", name, partial(_cut, length=length))
        yield Mutation("extend", name, lambda f, _: f.write_bytes(f.read_bytes() + b"\0"))
        yield Mutation("remove", name, lambda f, _: f.unlink())
        for how, act in ODD.items():
            yield Mutation(how, name, act)
        if "/" in name:
            yield Mutation("rename to a foreign name", name, lambda f, _: f.rename(f.with_name("renamed" + f.suffix)))
        for other in _of_its_kind(name, names):
            yield Mutation("copy over", name, lambda f, o: f.write_bytes(o.read_bytes()), other)
            yield Mutation("swap", name, _swap, other)


def _flip(file: Path, _: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 0x11
    file.write_bytes(content)


def _cut(file: Path, _: Path, length: int) -> None:
    os.truncate(file, length)


def _swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def _into_fifo(file: Path, _: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _into_folder(file: Path, _: Path) -> None:
    file.unlink()
    file.mkdir()


def _into_link(target: str) -> Callable[[Path, Path], None]:
    def act(file: Path, _: Path) -> None:
        file.unlink()
        file.symlink_to(target or file.name)

    return act


def _into_link_to_itself_elsewhere(file: Path, _: Path) -> None:
    moved = file.with_name(f"moved-{file.name}")
    file.rename(moved)
    file.symlink_to(moved.name)


ODD: dict[str, Callable[[Path, Path], None]] = {
    "a FIFO for": _into_fifo,
    "a folder for": _into_folder,
    "a link to itself for": _into_link(""),
    "a link to nothing for": _into_link("nothing"),
    "a link to a device for": _into_link("/dev/zero"),
    "a link to where it was moved for": _into_link_to_itself_elsewhere,
}


def _of_its_kind(name: str, names: list[str]) -> list[str]:
    """The next two files in the same folder (blobs: of all), of the same kind."""
    folder = name.split("/")[0]
    alike = [n for n in names if n.split("/")[0] == folder and n.partition(".")[2] == name.partition(".")[2]]
    where = alike.index(name)
    return [alike[(where + step) % len(alike)] for step in (1, 2) if len(alike) > step]
