"""Breaking bundles on purpose, and crafting ones that are whole to the hash and wrong within."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Documents = list[dict[str, Any]]

KINDS = {
    "marker": "runsync.json",
    "manifest": "snapshots/*.json",
    "runs part": "parts/*.runs.jsonl.gz",
    "metrics part": "parts/*.metrics.parquet",
    "experiments part": "parts/*.experiments.jsonl.gz",
    "blob": "blobs/*/*",
}


def one_of(bundle: Path, kind: str) -> Path:
    """The largest file of a kind."""
    return max(bundle.glob(KINDS[kind]), key=lambda file: (file.stat().st_size, file.name))


def flip(file: Path, position: int) -> None:
    """Changes one bit of one byte."""
    content = bytearray(file.read_bytes())
    content[position] ^= 0x04
    file.write_bytes(content)


def files_of(bundle: Path) -> dict[str, bytes]:
    """All files of a bundle by name."""
    return {f.relative_to(bundle).as_posix(): f.read_bytes() for f in bundle.rglob("*") if f.is_file()}


def manifest_of(bundle: Path) -> dict[str, Any]:
    """The newest manifest, by the time it tells."""
    documents = (json.loads(file.read_bytes()) for file in bundle.glob("snapshots/*.json"))
    newest: dict[str, Any] = max(documents, key=lambda document: document["created_at"])
    return newest


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Changes the newest manifest in place, and has it state its new digest."""
    document = manifest_of(bundle)
    file = bundle / "snapshots" / f"{document['id']}.json"
    change(document)
    zeros = "0" * 64
    content = json.dumps(document | {"digest": zeros})
    file.write_text(content.replace(zeros, hashlib.sha256(content.encode()).hexdigest()))
    return file


def edit_marker(bundle: Path, **changes: object) -> None:
    """Sets fields of the marker."""
    file = bundle / "runsync.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | changes))


def documents_in(part: Path) -> Documents:
    """The lines of a part."""
    return [json.loads(line) for line in gzip.decompress(part.read_bytes()).splitlines()]


def craft(bundle: Path, part: Path, change: Callable[[Documents], object]) -> Path:
    """Replaces a part by one with other documents, its hash in its name, and the manifest naming it."""
    documents = documents_in(part)
    change(documents)
    return craft_bytes(bundle, part, b"".join(json.dumps(d).encode() + b"\n" for d in documents))


def craft_bytes(bundle: Path, part: Path, lines: bytes) -> Path:
    """Likewise, with lines as they are given."""
    content = gzip.compress(lines, mtime=0)
    suffix = part.name.partition(".")[2]
    new = part.with_name(f"{hashlib.sha256(content).hexdigest()}.{suffix}")
    new.write_bytes(content)
    part.unlink()
    old_name, new_name = f"parts/{part.name}", f"parts/{new.name}"

    def rename(manifest: dict[str, Any]) -> None:
        for place in [manifest["experiments"], *(p["runs"] for p in manifest["parts"])]:
            if place["path"] == old_name:
                place.update(path=new_name, bytes=len(content))

    edit_manifest(bundle, rename)
    return new
