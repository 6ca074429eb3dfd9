"""Bundles that somebody made to do harm: whole to the last hash, and evil within."""

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runsync.bundle import schemas

Document = dict[str, Any]
ZEROS = "0" * 64
PARTS = {
    "runs": "run",
    "experiments": "experiment",
    "notebooks": "notebook",
    "permissions": "permissions",
    "logged-models": "logged-model",
    "registered-models": "registered-model",
    "model-versions": "model-version",
    "model-aliases": "model-alias",
}
"""Kinds of parts, and the schema of each."""


@dataclass
class Forgery:
    """A bundle of one snapshot in pieces. `write` puts them together, with every hash and count as it should be.

    `lines` stands in for the documents of a kind of part, `packed` for its bytes; `metrics` is the metrics part of all
    runs with points, `files` are blobs and records. `manifest` is changed last, by `lie`, before its digest is made;
    `after` breaks the folder.
    """

    marker: Document
    manifest: Document
    documents: dict[str, list[Document]]
    metrics: bytes
    files: dict[str, bytes]
    lines: dict[str, bytes] = field(default_factory=dict)
    packed: dict[str, bytes] = field(default_factory=dict)
    lie: Callable[[Document], object] = lambda _: None
    after: Callable[[Path], object] = lambda _: None

    @classmethod
    def of(cls, bundle: Path) -> "Forgery":
        """Of a bundle with one snapshot."""
        (manifest,) = [json.loads(file.read_bytes()) for file in bundle.glob("snapshots/*.json")]
        documents: dict[str, list[Document]] = {}
        tables: list[pa.Table] = []
        for part in manifest["parts"]:
            rows = sum(len(table) for table in tables)
            for run in _documents_in(bundle / part["runs"]["path"]):
                documents.setdefault("runs", []).append(run | {"first_row": rows if run["metric_points"] else 0})
            tables += [pq.read_table(bundle / metrics["path"]) for metrics in part["metrics"]]
        documents["experiments"] = _documents_in(bundle / manifest["experiments"]["path"])
        for part in manifest["objects"]:
            documents[part["kind"]] = _documents_in(bundle / part["documents"]["path"])
        kept = (*bundle.glob("blobs/*/*"), *bundle.glob("history/*"))
        files = {file.relative_to(bundle).as_posix(): file.read_bytes() for file in kept}
        marker = json.loads((bundle / "runsync.json").read_bytes())
        return cls(marker, manifest, documents, parquet(pa.concat_tables(tables)), files)

    def write(self, folder: Path) -> None:
        """Makes the bundle."""
        for name in ("snapshots", "parts"):
            (folder / name).mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "runsync.json").write_text(json.dumps(self.marker))
        rows = {"path": _keep(folder, self.metrics, "metrics.parquet"), "bytes": len(self.metrics), "count": 0}
        rows["count"] = _rows_in(self.metrics)
        for run in self.documents["runs"]:
            if run.get("metrics_part"):
                run["metrics_part"] = hashlib.sha256(self.metrics).hexdigest()
        places = {kind: self._part(folder, kind) for kind in self.documents}
        manifest = self.manifest | {"experiments": places["experiments"], "digest": ZEROS}
        manifest["parts"] = [{"runs": places["runs"], "metrics": [rows], "superseded": []}]
        manifest["objects"] = [
            {"kind": kind, "documents": place} for kind, place in places.items() if kind not in ("runs", "experiments")
        ]
        self.lie(manifest)
        text = json.dumps(manifest)
        name = self.manifest["id"]
        file = folder / "snapshots" / f"{name}.json"
        file.write_text(text.replace(ZEROS, hashlib.sha256(text.encode()).hexdigest()))
        self.after(folder)

    def _part(self, folder: Path, kind: str) -> Document:
        documents = self.documents[kind]
        lines = self.lines.get(kind, b"".join(json.dumps(d).encode() + b"\n" for d in documents))
        packed = self.packed.get(kind) or gzip.compress(lines, mtime=0)
        return {"path": _keep(folder, packed, f"{kind}.jsonl.gz"), "bytes": len(packed), "count": len(documents)}


def parquet(table: pa.Table, **how: Any) -> bytes:
    """A table as the bytes of a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **how)
    return sink.getvalue()


def _documents_in(part: Path) -> list[Document]:
    return [json.loads(line) for line in gzip.decompress(part.read_bytes()).splitlines()]


def _keep(folder: Path, content: bytes, suffix: str) -> str:
    name = f"parts/{hashlib.sha256(content).hexdigest()}.{suffix}"
    (folder / name).write_bytes(content)
    return name


def _rows_in(content: bytes) -> int:
    try:
        return int(pq.ParquetFile(io.BytesIO(content)).metadata.num_rows)
    except (pa.ArrowException, OSError):
        return 1


# Odd values in every field of every document.

ODD: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "minus one": -1,
    "nothing": "",
    "one and a bit": 1.5,
    "one point none": 1.0,
    "a trillion": 10**12,
    "2^63 - 1": 2**63 - 1,
    "-2^63": -(2**63),
    "2^64": 2**64,
    "1e300": 1e300,
    "up": "..",
    "up and away": "../../../../escaped",
    "absolute": "/tmp/escaped",
    "with a NUL": "a\0b",
    "backslashes": "..\\..\\escaped",
    "lines and escapes": "a\nb\r\x1b]0;x\x07\u202e",
    "long": "x" * 5000,
    "list": [],
    "object": {},
    "list of a list": [[1]],
    "deep": json.loads("[" * 900 + "]" * 900),
}


@dataclass(frozen=True)
class Hostile:
    """A hostile bundle: what is evil about it, and how it is made of a good one."""

    name: str
    change: Callable[[Forgery], object]

    def write(self, good: Forgery, folder: Path) -> None:
        """Makes it."""
        forgery = deepcopy(good)
        self.change(forgery)
        forgery.write(folder)


def odd_fields() -> Iterator[Hostile]:
    """One for every field of every document, with every odd value there."""
    for kind, schema in [*PARTS.items(), ("manifest", "snapshot"), ("marker", "runsync")]:
        for path in fields(schemas.schema(schema)):
            for name, value in ODD.items():
                yield Hostile(f"{name} at {'/'.join(map(str, path))} of {kind}", _setting(kind, path, value))


def _setting(kind: str, path: tuple[str | int, ...], value: Any) -> Callable[[Forgery], None]:
    def change(forgery: Forgery) -> None:
        if kind == "manifest":
            forgery.lie = lambda manifest: put(manifest, path, value)
        else:
            put(forgery.marker if kind == "marker" else forgery.documents[kind][0], path, value)

    return change


def put(document: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Sets the value at a path; a list without items gets one, an object without properties too."""
    for step, following in pairwise(path):
        if isinstance(step, int) and not document:
            document.append({})
        if not isinstance(step, int) and not document.get(step):
            document[step] = [] if isinstance(following, int) else {}
        document = document[step]
    if isinstance(document, list):
        place = path[-1]
        assert isinstance(place, int)
        document[place:] = [value]
    else:
        document[path[-1]] = value


def fields(schema: Mapping[str, Any], above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every field that a schema tells of; 0 is the first item of a list."""
    for name, below in schema.get("properties", {}).items():
        path = (*above, name)
        yield path
        yield from fields(below, path)
        if items := below.get("items"):
            yield (*path, 0)
            yield from fields(items, (*path, 0))
        if isinstance(below.get("additionalProperties"), dict):
            yield (*path, "key")


# Particular ones.


def particular() -> Iterator[Hostile]:
    """Those that take more than one odd value."""
    yield from (Hostile(name, change) for name, change in _in_manifests())
    yield from (Hostile(name, change) for name, change in _in_documents())
    yield from (Hostile(name, change) for name, change in _in_models())
    yield from (Hostile(name, change) for name, change in _in_gzip())
    yield from (Hostile(name, change) for name, change in _in_parquet())
    yield from (Hostile(name, change) for name, change in _in_folders())


Change = tuple[str, Callable[[Forgery], object]]


def _lie(change: Callable[[Document], object]) -> Callable[[Forgery], None]:
    def forge(forgery: Forgery) -> None:
        forgery.lie = change

    return forge


def _in_manifests() -> Iterator[Change]:
    def part(change: Callable[[Document], object]) -> Callable[[Forgery], None]:
        return _lie(lambda manifest: change(manifest["parts"][0]))

    def said(**changes: Any) -> Callable[[Forgery], None]:
        return _lie(lambda manifest: manifest.update(changes))

    def called(name: str) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.manifest.update(id=name)

    yield "a million runs said", part(lambda p: p["runs"].update(count=1_000_000))
    yield "a trillion points said", part(lambda p: p["metrics"][0].update(count=10**12))
    yield "a trillion bytes said", part(lambda p: p["runs"].update(bytes=10**12))
    yield "lines superseded that are not there", part(lambda p: p.update(superseded=[900_000, 1_000_000]))
    yield "every line superseded", part(lambda p: p.update(superseded=list(range(1, 50))))
    yield "one line superseded a million times", part(lambda p: p.update(superseded=[1] * 1_000_000))
    yield "the same part twice", _lie(lambda m: m["parts"].append(m["parts"][0]))
    yield "the same part a thousand times", _lie(lambda m: m["parts"].extend(m["parts"] * 1000))
    yield "no parts", _lie(lambda m: m.update(parts=[]))
    yield "no metrics part", part(lambda p: p.update(metrics=[]))
    yield "a runs part for experiments", _lie(lambda m: m["experiments"].update(path=m["parts"][0]["runs"]["path"]))
    yield "notebooks for permissions", _lie(lambda m: _part_of(m, "notebooks").update(kind="permissions"))
    yield "a kind that nobody knows", _lie(lambda m: m["objects"][0].update(kind="nonsense"))
    yield "versions for aliases", _lie(lambda m: _part_of(m, "model-versions").update(kind="model-aliases"))
    yield "a filter that is none", _lie(lambda m: m["selection"].update(filter="((((" * 1000))
    for moment in ("9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00Z", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z"):
        yield f"made at {moment}", said(created_at=moment)
        yield f"begun at {moment}", said(started_at=moment)
    for name in ("99999999T999999.999Z-000000", "00000000T000000.000Z-000000", "99991231T235959.999Z-000000"):
        yield f"called {name}", called(name)
    yield (
        "twenty thousand problems",
        _lie(lambda m: m.update(problems=[{"run_id": "x", "kind": "k", "name": "n", "reason": "r"}] * 20_000)),
    )


def _part_of(manifest: Document, kind: str) -> Document:
    found: Document = next(part for part in manifest["objects"] if part["kind"] == kind)
    return found


NAMES = (
    "..",
    ".",
    "/",
    "a/b",
    "../../../escaped",
    "a\\..\\..\\b",
    "C:\\x",
    "a\0b",
    "a\nb",
    "x" * 300,
    "-rf",
    "\u202e",
    " ",
)


def _in_documents() -> Iterator[Change]:
    def run(**changes: Any) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.documents["runs"][0].update(changes)

    def experiment(**changes: Any) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.documents["experiments"][0].update(changes)

    def file(**changes: Any) -> Callable[[Forgery], None]:
        return lambda forgery: _first_file(forgery).update(changes)

    def dataset(**changes: Any) -> Callable[[Forgery], None]:
        return lambda forgery: _first_dataset(forgery).update(changes)

    for name in NAMES:
        yield f"a run called {name[:20]!r}", run(run_id=name)
        yield f"an experiment called {name[:20]!r}", experiment(name=name)
        yield f"an experiment with the id {name[:20]!r}", partial(_renumber, name=name)
        yield f"a param called {name[:20]!r}", run(params={name: "x"})
        yield f"a tag called {name[:20]!r}", run(tags={name: "x"})
        yield f"a metric called {name[:20]!r}", partial(_rename_metrics, name=name)
        yield f"a file called {name[:20]!r}", file(path=name)
        yield f"a dataset called {name[:20]!r}", dataset(name=name, digest=name)
        yield f"a model called {name[:20]!r}", run(model_inputs=[{"model_id": name, "step": 0}])
    for time in (2**63 - 1, -(2**63), 253402300800000, -62135596800001):
        yield f"begun at {time}", run(start_time=time, end_time=time)
        yield f"deleted at {time}", run(deleted_time=time, lifecycle_stage="deleted")
        yield f"an experiment of {time}", experiment(creation_time=time, last_update_time=time)
        yield f"points of {time}", partial(_time_metrics, time=time)
    yield "the same run twice", lambda f: f.documents["runs"].append(f.documents["runs"][0])
    yield "the same experiment twice", lambda f: f.documents["experiments"].append(f.documents["experiments"][0])
    yield "the same notebook twice", lambda f: f.documents["notebooks"].append(f.documents["notebooks"][0])
    yield "an experiment that is not there", run(experiment_id="nowhere")
    yield "no experiments", lambda f: f.documents["experiments"].clear()
    yield "no runs", lambda f: f.documents["runs"].clear()
    yield "a run that is its own parent", run(tags={"mlflow.parentRunId": "first"})
    yield "parents in a circle", _circle
    yield "the same file twice", lambda f: _files(f).append(_files(f)[0])
    yield "a file and a folder of one name", lambda f: _files(f).append(_files(f)[0] | {"path": "model"})
    yield "a file of a trillion bytes", file(size=10**12)
    yield "a file that is not there", file(sha256="a" * 64)
    yield "points that are not there", run(metric_points=2**62, first_row=2**62)
    yield "a metrics part that is not there", run(metrics_part="")
    yield "points of another run", run(first_row=3)
    yield "twenty thousand tags", run(tags={f"tag{n}": "x" for n in range(20_000)})


def _in_models() -> Iterator[Change]:
    def first(kind: str, **changes: Any) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.documents[kind][0].update(changes)

    def twice(kind: str) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.documents[kind].append(forgery.documents[kind][0])

    def none(kind: str) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.documents[kind].clear()

    def file(**changes: Any) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.documents["logged-models"][0]["artifacts"][0].update(changes)

    for kind in ("logged-models", "registered-models", "model-versions", "model-aliases"):
        yield f"the same twice in {kind}", twice(kind)
        yield f"no {kind}", none(kind)
    for name in NAMES:
        yield f"a logged model with the id {name[:20]!r}", partial(_rename_model, name=name)
        yield f"a logged model called {name[:20]!r}", first("logged-models", name=name)
        yield f"a logged model of experiment {name[:20]!r}", first("logged-models", experiment_id=name)
        yield f"a registered model called {name[:20]!r}", partial(_rename_registered, name=name)
        yield f"an alias called {name[:20]!r}", first("model-aliases", alias=name)
        yield f"a file of a model called {name[:20]!r}", file(path=name)
        yield f"a version whose files are in run {name[:20]!r}", partial(_at_home, kind="runs", id=name)
        yield (
            f"a version whose files are at {name[:20]!r} of a run",
            partial(_at_home, kind="runs", id="first", path=name),
        )
        yield f"a version with the source {name[:20]!r}", first("model-versions", source=name)
    for number in (0, 2**31, 2**63 - 1):
        yield f"version {number}", first("model-versions", version=number)
        yield f"an alias of version {number}", first("model-aliases", version=number)
    yield "a version that is its own home", partial(_at_home, kind="model-versions", id="churn/1")
    yield "versions that are each other's home", _circle_of_versions
    yield "a logged model that is not there", partial(_at_home, kind="logged-models", id="m-9")
    yield "a version that is a folder of the file store", first("model-versions", source="file:///etc")
    yield "a file of a trillion bytes of a model", file(size=10**12)
    yield "a file of a model that is not there", file(sha256="a" * 64)
    yield "a file and a folder of one name in a model", file(path="model.bin/x")
    for time in (2**63 - 1, -(2**63)):
        for kind in ("logged-models", "registered-models", "model-versions"):
            yield f"{kind} of {time}", first(kind, created_at=time, updated_at=time)
    yield (
        "a thousand aliases of one name",
        lambda f: f.documents["model-aliases"].extend(f.documents["model-aliases"] * 999),
    )


def _rename_model(forgery: Forgery, name: str) -> None:
    forgery.documents["logged-models"][0]["model_id"] = name
    _at_home(forgery, "logged-models", name)


def _rename_registered(forgery: Forgery, name: str) -> None:
    for kind, field_ in (("registered-models", "name"), ("model-versions", "model"), ("model-aliases", "model")):
        for document in forgery.documents[kind]:
            if document[field_] == "churn":
                document[field_] = name


def _at_home(forgery: Forgery, kind: str, id: str, path: str = "") -> None:
    forgery.documents["model-versions"][0].update(home={"kind": kind, "id": id, "path": path})


def _circle_of_versions(forgery: Forgery) -> None:
    one, other, *_ = forgery.documents["model-versions"]
    for version, home in ((one, other), (other, one)):
        version.update(home={"kind": "model-versions", "id": f"{home['model']}/{home['version']}", "path": ""})


def _files(forgery: Forgery) -> list[Document]:
    files: list[Document] = next(run["artifacts"] for run in forgery.documents["runs"] if run["artifacts"])
    return files


def _first_file(forgery: Forgery) -> Document:
    return _files(forgery)[0]


def _first_dataset(forgery: Forgery) -> Document:
    found: Document = next(run["dataset_inputs"] for run in forgery.documents["runs"] if run["dataset_inputs"])[0]
    return found


def _renumber(forgery: Forgery, name: str) -> None:
    old = forgery.documents["experiments"][0]["experiment_id"]
    for document in (*forgery.documents["experiments"], *forgery.documents["runs"], *forgery.documents["permissions"]):
        if document["experiment_id"] == old:
            document["experiment_id"] = name


def _circle(forgery: Forgery) -> None:
    runs = forgery.documents["runs"]
    for one, other in zip(runs, runs[1:] + runs[:1], strict=True):
        one["tags"] = {"mlflow.parentRunId": other["run_id"]}


def _table(forgery: Forgery) -> pa.Table:
    return pq.read_table(io.BytesIO(forgery.metrics))


def _with_column(forgery: Forgery, name: str, column: pa.Array, **how: Any) -> None:
    table = _table(forgery)
    forgery.metrics = parquet(table.set_column(table.column_names.index(name), name, column), **how)


def _rename_metrics(forgery: Forgery, name: str) -> None:
    _with_column(forgery, "key", pa.array([name] * len(_table(forgery))))
    for run in forgery.documents["runs"]:
        run["latest_metrics"] = [metric | {"key": name} for metric in run["latest_metrics"][:1]]


def _time_metrics(forgery: Forgery, time: int) -> None:
    _with_column(forgery, "timestamp", pa.array([time] * len(_table(forgery)), pa.int64()))
    for run in forgery.documents["runs"]:
        run["latest_metrics"] = [metric | {"timestamp": time} for metric in run["latest_metrics"]]


def _in_gzip() -> Iterator[Change]:
    def lines(content: Callable[[], bytes], kind: str = "runs") -> Callable[[Forgery], None]:
        return lambda forgery: forgery.lines.update({kind: content()})

    def line(content: bytes, kind: str) -> Callable[[Forgery], None]:
        return lines(lambda: content, kind)

    def packed(content: Callable[[], bytes], kind: str) -> Callable[[Forgery], None]:
        return lambda forgery: forgery.packed.update({kind: content()})

    for kind in PARTS:
        yield f"no gzip as {kind}", packed(lambda: b"no gzip", kind)
        yield f"half a gzip as {kind}", packed(lambda: gzip.compress(b"x" * 999)[:-9], kind)
        yield f"a line that never ends as {kind}", packed(lambda: bomb(b"", 80), kind)
        yield f"lines that never end as {kind}", packed(lambda: bomb(b"\n", 3), kind)
        yield f"nested a million deep as {kind}", lines(lambda: b"[" * 1_000_000, kind)
        yield f"nested a thousand deep as {kind}", lines(lambda: b'{"a":' * 1000 + b"1" + b"}" * 1000, kind)
        for odd in (b"\n", b"null\n", b"[]\n", b"{}", b"NaN\n", b"\xff\xfe\n", b'"\\ud800"\n', b"1e999\n", b"{,}\n"):
            yield f"{odd!r} as {kind}", line(odd, kind)
    yield (
        "a list of millions where there should be text",
        lines(lambda: b'{"run_id":[' + b"[]," * 5_000_000 + b"[]]}\n", "runs"),
    )


def bomb(begin: bytes, megabytes: int) -> bytes:
    """So many MB of gzip members, small when packed: spaces, or lines."""
    member = gzip.compress((begin or b" ") * 1_000_000, mtime=0)
    return member * megabytes


def _in_parquet() -> Iterator[Change]:
    def made(make: Callable[[pa.Table], bytes]) -> Callable[[Forgery], None]:
        def change(forgery: Forgery) -> None:
            forgery.metrics = make(_table(forgery))

        return change

    def column(name: str, make: Callable[[pa.ChunkedArray], pa.Array]) -> Callable[[Forgery], None]:
        return lambda forgery: _with_column(forgery, name, make(_table(forgery).column(name)))

    yield "no parquet", made(lambda table: b"no parquet")
    yield "an empty file for parquet", made(lambda table: b"")
    yield "half a parquet", made(lambda table: parquet(table)[:-20])
    yield "a parquet with a broken footer", made(lambda table: parquet(table)[:-40] + b"\xff" * 32 + b"PAR1    "[-8:])
    yield "a parquet with broken pages", made(lambda table: _garbled(parquet(table)))
    yield "a parquet without columns", made(lambda table: parquet(pa.table({})))
    for name in ("run_id", "key", "step", "timestamp", "value", "model_id"):
        yield f"no column {name}", made(partial(_without, name=name))
        yield f"a column {name} of nulls", column(name, lambda old: pa.nulls(len(old), old.type))
        yield f"a column {name} of lists", column(name, lambda old: pa.array([[1]] * len(old)))
        yield (
            f"a column {name} of decimals",
            column(name, lambda old: pa.array([1] * len(old)).cast(pa.decimal128(38, 10))),
        )
        yield f"a column {name} twice", made(partial(_twice, name=name))
    yield "a column more", made(lambda table: parquet(table.append_column("more", table["step"])))
    yield (
        "names that are no text",
        column("key", lambda old: pa.array([b"\xff\xfe"] * len(old)).view(pa.string())),
    )
    yield (
        "run ids that are no text",
        column("run_id", lambda old: pa.array([b"\xff\xfe"] * len(old)).view(pa.string())),
    )
    yield (
        "a name of 10 MB",
        column("key", lambda old: pa.array(["x" * 10_000_000] + ["y"] * (len(old) - 1))),
    )
    yield "a long name, many times", made(lambda table: parquet(_many(table, 200_000, "x" * 1_000_000)))
    yield (
        "ten million points of a run in one group",
        made(lambda table: parquet(_many(table, 10_000_000, "x"), row_group_size=10_000_000)),
    )
    yield "ten thousand empty groups", made(_empty_groups)
    yield "columns that say they are other ones", made(_lying_schema)


def _without(table: pa.Table, name: str) -> bytes:
    return parquet(table.drop_columns([name]))


def _twice(table: pa.Table, name: str) -> bytes:
    return parquet(table.append_column(name, table.column(name)))


def _garbled(content: bytes) -> bytes:
    return content[:60] + bytes(byte ^ 0xFF for byte in content[60:200]) + content[200:]


def _many(table: pa.Table, count: int, name: str) -> pa.Table:
    zeros = pa.repeat(pa.scalar(0, pa.int32()), count)
    columns = {}
    for field_ in table.schema:
        if field_.name in ("step", "timestamp"):
            columns[field_.name] = pa.repeat(pa.scalar(0, pa.int64()), count)
        elif field_.name == "value":
            columns[field_.name] = pa.repeat(pa.scalar(0.0), count)
        else:
            columns[field_.name] = pa.DictionaryArray.from_arrays(zeros, pa.array([name]))
    return pa.table(columns)


def _empty_groups(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        for _ in range(10_000):
            writer.write_table(table.slice(0, 0))
        writer.write_table(table)
    return sink.getvalue()


def _lying_schema(table: pa.Table) -> bytes:
    other = table.set_column(2, "step", table["step"].cast(pa.timestamp("ms")))
    return parquet(other)


def _in_folders() -> Iterator[Change]:
    def after(act: Callable[[Path], object]) -> Callable[[Forgery], None]:
        def change(forgery: Forgery) -> None:
            forgery.after = act

        return change

    def at(name: str, act: Callable[[Path], object]) -> Callable[[Forgery], None]:
        return after(lambda bundle: act(bundle / name))

    for name in ("snapshots", "locks", "tmp", "quarantine", "history", "suspects", "parts", "blobs"):
        yield f"{name}/ leads to itself", at(name, lambda folder: _linked(folder, folder))
        yield f"{name}/ leads out", at(name, lambda folder: _linked(folder, folder.parents[1] / "outside"))
        yield f"{name}/ is a file", at(name, lambda folder: _replaced(folder, lambda f: f.write_bytes(b"x")))
        yield f"{name}/ is a FIFO", at(name, lambda folder: _replaced(folder, os.mkfifo))
    yield "an endless manifest", after(lambda b: os.truncate(_manifest(b), 10 << 30))
    yield "an endless marker", after(lambda b: os.truncate(b / "runsync.json", 10 << 30))
    yield "an endless part", after(lambda b: os.truncate(next(b.glob("parts/*.runs.*")), 10 << 30))
    yield "an endless lock", after(lambda b: _lock(b, b"", 10 << 30))
    for content in (b"null", b"[]", b"{}", b"[" * 5000, b'{"format": "runsync-lock", "version": 1e0}'):
        yield f"{content[:20]!r} as a lock", after(partial(_lock, content=content))
    yield "a folder of hashes that leads out", after(lambda b: _linked(next(b.glob("blobs/*")), b.parent / "outside"))
    yield "a manifest that leads out", after(lambda b: _linked(_manifest(b), b.parent / "outside" / "secret"))
    yield "a blob that leads out", after(lambda b: _linked(next(b.glob("blobs/*/*")), b.parent / "outside" / "secret"))
    yield "a folder that leads to all there is", after(lambda b: _linked(b / "all", Path("/")))
    # An export writes where blobs/ leads: it must be no place where it can.
    yield "blobs/ that leads to more than can be walked", after(lambda b: _linked(b / "blobs", Path("/proc")))


def _manifest(bundle: Path) -> Path:
    return next(bundle.glob("snapshots/*.json"))


def _replaced(place: Path, make: Callable[[Path], object]) -> None:
    if place.exists():
        place.rename(place.parent.parent / f"was-{place.name}")
    make(place)


def _linked(place: Path, target: Path) -> None:
    _replaced(place, lambda file: file.symlink_to(target))


def _lock(bundle: Path, content: bytes, size: int | None = None) -> None:
    file = bundle / "locks" / f"shared-{'0' * 16}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    if size is not None:
        os.truncate(file, size)
