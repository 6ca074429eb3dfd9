"""Ways of answering that no server should have, each with the requests that meet it (see `support.hostile_server`)."""

import gzip
import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from support.hostile_server import Answering, Asked, Fault, Good, Handler

SEARCH, LISTS, FILE = "runs/search$", "(search|list)$", "artifacts/artifacts/.*data.bin"
HISTORY = "get-history"
ANY = "/mlflow"


def body(content: bytes, status: int = 200, **headers: str) -> Answering:
    """These bytes."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, asked, right: handler.send(Good(body=content, status=status, headers=told))


def _bomb(filling: bytes) -> Answering:
    """40 MiB in a few bytes, packed when they are asked for: every test process loads this module."""
    return lambda *asked: body(gzip.compress(filling * (40 << 20)), Content_Encoding="gzip")(*asked)


def changed(change: Callable[[dict[str, Any]], object]) -> Answering:
    """The right document after a change in place."""

    def answer(handler: Handler, asked: Asked, right: Good) -> None:
        document = json.loads(json.dumps(right.document or {}))
        change(document)
        handler.send(Good(document))

    return answer


def made(document: Callable[[Asked], Any]) -> Answering:
    """Another document, of any kind."""
    return lambda handler, asked, right: handler.send(Good(body=json.dumps(document(asked)).encode()))


def raw(*pieces: bytes, then: bytes = b"", pause: float = 0.0) -> Answering:
    """Bytes as they are; `then` again and again, until the client hangs up."""

    def answer(handler: Handler, asked: Asked, right: Good) -> None:
        handler.raw(itertools.chain(pieces, itertools.repeat(then)) if then else iter(pieces), pause)

    return answer


def once(first: Answering) -> Answering:
    """So the first time; well after that."""
    met = itertools.count()
    return lambda handler, asked, right: first(handler, asked, right) if not next(met) else handler.send(right)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
_numbers = itertools.count(1000)


def _cut(handler: Handler, asked: Asked, right: Good) -> None:
    handler.head(200, {"Content-Length": str(len(right.bytes()))})
    handler.raw(iter([right.bytes()[:40]]))


def _part(handler: Handler, asked: Asked, right: Good) -> None:
    """The beginning, then that again, as if it were the rest."""
    content = right.bytes()
    if "Range" in asked.headers:
        told = {"ETag": '"1"', "Content-Range": f"bytes 0-{len(content) - 1001}/{len(content)}"}
        handler.send(Good(body=content[:-1000], status=206, headers=told))
    else:
        handler.head(200, {"ETag": '"1"', "Content-Length": str(len(content))})
        handler.raw(iter([content[:1000]]))


def _another(handler: Handler, asked: Asked, right: Good) -> None:
    """Cut, and another version of the file from then on, without a word of it."""
    if handler.server.met == 1:
        handler.head(200, {"Content-Length": str(len(right.bytes()))})
        handler.raw(iter([right.bytes()[:2000]]))
    else:
        handler.send(Good(body=b"B" * len(right.bytes())))


def _fresh_page(asked: Asked, name: str) -> dict[str, Any]:
    return {name: [], "next_page_token": f"token {next(_numbers)}"}


def _same_page(name: str) -> Answering:
    return changed(lambda document: document.update(next_page_token="again", **{name: document.get(name, [])}))


def _inside(asked: Asked) -> dict[str, Any]:
    folder = asked.query.get("path", "")
    return {"files": [{"path": f"{folder}/a".lstrip("/"), "is_dir": True}]}


def _wide(asked: Asked) -> dict[str, Any]:
    folder = asked.query.get("path", "")
    return {"files": [{"path": f"{folder}/{number}".lstrip("/"), "is_dir": True} for number in range(50)]}


def _files(*entries: dict[str, Any]) -> Answering:
    return made(lambda asked: {"files": [] if asked.query.get("path") else list(entries)})


def _thrice(document: dict[str, Any]) -> None:
    document["runs"] = [run for run in document.get("runs", []) for _ in range(3)]


def _moved(document: dict[str, Any]) -> None:
    for run in document.get("runs", []):
        run["info"]["experiment_id"] = "12345"


def _in_run(**values: Any) -> Answering:
    def change(document: dict[str, Any]) -> None:
        for run in document.get("runs", [])[:1]:
            run["info"].update(values)

    return changed(change)


NAMED: dict[str, tuple[str, Answering]] = {
    # status lines and redirects
    "interim answers without end": (SEARCH, raw(then=b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
    "a status line of words": (SEARCH, raw(b"HELLO WORLD\r\n\r\n")),
    "a status of 9 digits": (SEARCH, raw(b"HTTP/1.1 200200200 OK\r\n\r\n")),
    "204 without a document": (SEARCH, raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "206 for a document": (SEARCH, body(b"{}", 206)),
    "a redirect to itself": (SEARCH, body(b"", 302, Location="/api/2.0/mlflow/runs/search")),
    "a redirect to a file": (SEARCH, body(b"", 302, Location="file:///etc/passwd")),
    "a redirect to another host": (FILE, body(b"", 307, Location="http://127.0.0.2:9/")),
    "304": (FILE, body(b"", 304)),
    "401": (FILE, body(b"", 401)),
    "403 with HTML": (SEARCH, body(b"<html>no</html>", 403)),
    "404 for one file": (FILE, body(b"", 404)),
    "418": (LISTS, body(b"x" * 300_000, 418)),
    "429 for ever": (FILE, body(b"", 429, Retry_After="0")),
    "500 with a document without end": (FILE, raw(b"HTTP/1.1 500 no\r\n\r\n", then=b"x" * 65536)),
    "503 until the year 2999": (FILE, body(b"", 503, Retry_After="Thu, 01 Jan 2999 00:00:00 GMT")),
    # headers
    "10000 headers": (SEARCH, raw(OK, *[b"X-%d: y\r\n" % n for n in range(10_000)], b"\r\n{}")),
    "headers without end": (SEARCH, raw(OK, then=b"X-Y: " + b"z" * 1000 + b"\r\n")),
    "one header without end": (SEARCH, raw(OK + b"X: ", then=b"z" * 65536)),
    "headers that trickle": (SEARCH, raw(OK, then=b"X", pause=0.05)),
    "a negative length": (SEARCH, raw(OK + b"Content-Length: -5\r\n\r\n{}")),
    "a length in words": (SEARCH, raw(OK + b"Content-Length: many\r\n\r\n{}")),
    "two lengths": (SEARCH, raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
    "a length of a million digits": (FILE, raw(OK + b"Content-Length: " + b"9" * 60_000 + b"\r\n\r\n{}")),
    "too great a length": (FILE, lambda handler, asked, right: handler.send(right, 10**9)),
    "too small a length": (FILE, lambda handler, asked, right: handler.send(right, 10)),
    "a charset that is none": (SEARCH, body(b"\xff\xfe", Content_Type="text/plain; charset=nonsense")),
    "bytes in headers": (SEARCH, raw(OK + b"\xff\xfe: \xff\r\nContent-Length: 2\r\n\r\n{}")),
    # bodies
    "nothing": (LISTS, body(b"")),
    "HTML": (LISTS, body(b"<!doctype html><title>Welcome</title>", Content_Type="text/html")),
    "HTML for a file": (FILE, body(b"<!doctype html><title>Welcome</title>", Content_Type="text/html")),
    "broken UTF-8": (SEARCH, body(b'{"runs": ["\xff\xfe"]}')),
    "half a character": (SEARCH, body(b'{"runs": [{"info": {"run_id": "\\ud800"}}]}')),
    "half a document": (LISTS, body(b'{"runs": [')),
    "a document that is cut": (SEARCH, _cut),
    "null": (LISTS, body(b"null")),
    "a list": (LISTS, body(b"[1, 2]")),
    "a number without end": (SEARCH, body(b'{"runs": ' + b"9" * 100_000 + b"}")),
    "a bare NaN": (SEARCH, body(b'{"runs": NaN}')),
    "nesting without end": (SEARCH, body(b'{"runs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    "nesting of objects": (SEARCH, body(b'{"a": ' * 5000 + b"NaN" + b"}" * 5000)),
    "a document without end": (SEARCH, raw(OK + b'\r\n{"runs": [', then=b" " * 65536)),
    "a document that trickles": (SEARCH, raw(OK + b'\r\n{"runs": [', then=b" ", pause=0.05)),
    "a gzip bomb": (SEARCH, _bomb(b" ")),
    "gzip in gzip": (SEARCH, body(gzip.compress(gzip.compress(b"{}")), Content_Encoding="gzip, gzip")),
    "no gzip": (SEARCH, body(b"plain", Content_Encoding="gzip")),
    "chunks of no size": (SEARCH, raw(CHUNKED + b"zz\r\n{}\r\n")),
    "chunks without end": (SEARCH, raw(CHUNKED, then=b"1\r\n \r\n" * 1000)),
    "trailers without end": (FILE, raw(CHUNKED + b"1\r\nx\r\n0\r\n", then=b"X: y\r\n" * 1000)),
    # lists, pages and folders
    "null for every list": (LISTS, changed(lambda d: d.update(dict.fromkeys(d)))),
    "the same token for ever": (SEARCH, _same_page("runs")),
    "the same experiments for ever": ("experiments/search$", _same_page("experiments")),
    "empty pages for ever": ("experiments/search$", made(lambda asked: _fresh_page(asked, "experiments"))),
    "empty pages of runs": (SEARCH, made(lambda asked: _fresh_page(asked, "runs"))),
    "a token that is a list": (LISTS, changed(lambda document: document.update(next_page_token=[1]))),
    "every run thrice": (SEARCH, changed(_thrice)),
    "every experiment twice": ("experiments/search$", changed(lambda d: d.update(experiments=d["experiments"] * 2))),
    "runs of another experiment": (SEARCH, changed(_moved)),
    "a run without an id": (SEARCH, _in_run(run_id=None, run_uuid=None)),
    "a run of an unknown status": (SEARCH, _in_run(status="BANANA")),
    "a run of an unknown stage": (SEARCH, _in_run(lifecycle_stage="purged")),
    "a run at the end of time": (SEARCH, _in_run(start_time=10**30)),
    "a run with a list for a name": (SEARCH, _in_run(run_name=["a"])),
    "a history of other runs": (HISTORY, changed(lambda d: [row.update(run_id="x") for row in d["metrics"]])),
    "a history without end": (HISTORY, _same_page("metrics")),
    "a history of words": (HISTORY, changed(lambda d: [row.update(value="much") for row in d["metrics"]])),
    "steps beyond int64": (HISTORY, changed(lambda d: [row.update(step=1 << 70) for row in d["metrics"]])),
    "folders without end": ("artifacts/list", made(_inside)),
    "more and more folders": ("artifacts/list", made(_wide)),
    "a folder in itself": ("artifacts/list", made(lambda asked: {"files": [{"path": "", "is_dir": True}]})),
    "a path out of the folder": ("artifacts/list", _files({"path": "../../etc/passwd", "file_size": 3})),
    "an absolute path": ("artifacts/list", _files({"path": "/etc/passwd", "file_size": 3})),
    "a path of a million letters": ("artifacts/list", _files({"path": "n" * 1_000_000, "file_size": 3})),
    "a negative size": ("artifacts/list", _files({"path": "notes.txt", "file_size": -6})),
    "a size beyond int64": ("artifacts/list", _files({"path": "notes.txt", "file_size": 1 << 80})),
    "a size in words": ("artifacts/list", _files({"path": "notes.txt", "file_size": "big"})),
    "a file twice": ("artifacts/list", _files(*[{"path": "notes.txt", "file_size": 6}] * 2)),
    "a file of two sizes": ("artifacts/list", _files(*[{"path": "a", "file_size": n} for n in (1, 2)])),
    # files
    "a file without end": (FILE, raw(OK + b"\r\n", then=b"x" * 65536)),
    "a file that trickles": (FILE, raw(OK + b"\r\n", then=b"x", pause=0.05)),
    "a file that is too short": (FILE, body(b"short")),
    "a file that always breaks": (FILE, _cut),
    "a part that begins elsewhere": (FILE, _part),
    "a file that changes when it breaks": (FILE, _another),
    "a file in a gzip bomb": (FILE, _bomb(b"x")),
}
"""By what is wrong: the requests that meet it, and the answer."""

ANYWHERE = (
    *("a status line of words", "206 for a document", "a redirect to itself", "a redirect to a file", "401", "418"),
    *("500 with a document without end", "headers without end", "two lengths", "nothing", "HTML", "half a document"),
    *("null", "a list", "a number without end", "nesting of objects", "a gzip bomb", "null for every list"),
    *("a token that is a list", "chunks without end"),
)
"""Those that fit any answer."""


def _in_versions(**values: Any) -> Answering:
    def change(document: dict[str, Any]) -> None:
        registered = document.get("registered_model", {})
        for version in (*document.get("model_versions", ()), *registered.get("latest_versions", ())):
            version.update(values)

    return changed(change)


def _in_models(**values: Any) -> Answering:
    def change(document: dict[str, Any]) -> None:
        for model in (*document.get("models", ()), *([document["model"]] if "model" in document else ())):
            model["info"].update(values)

    return changed(change)


def _aliases(*aliases: Any) -> Answering:
    def change(document: dict[str, Any]) -> None:
        for model in (*document.get("registered_models", ()), document.get("registered_model", {})):
            model["aliases"] = list(aliases)

    return changed(change)


def _twice(*names: str) -> Answering:
    return changed(lambda document: document.update({name: document[name] * 2 for name in names if name in document}))


REGISTRY, LOGGED = "(registered-models|model-versions)/(search|get)$", "logged-models/(search|m-[0-9a-f]+)$"
OF_MODELS: dict[str, tuple[str, Answering]] = {
    "every model and version twice": (".*/search$", _twice("models", "registered_models", "model_versions")),
    "empty pages of models": ("logged-models/search$", made(lambda asked: _fresh_page(asked, "models"))),
    "empty pages of versions": ("versions/search$", made(lambda asked: _fresh_page(asked, "model_versions"))),
    "empty pages of registered models": (
        "registered-models/search$",
        made(lambda asked: _fresh_page(asked, "registered_models")),
    ),
    "the same models for ever": ("logged-models/search$", _same_page("models")),
    "the same versions for ever": ("versions/search$", _same_page("model_versions")),
    "versions of another model": (REGISTRY, _in_versions(name="other")),
    "a version number in words": (REGISTRY, _in_versions(version="one")),
    "a version number of fractions": (REGISTRY, _in_versions(version=1.5)),
    "a version number below nothing": (REGISTRY, _in_versions(version="-1")),
    "a version number beyond int64": (REGISTRY, _in_versions(version=str(1 << 70))),
    "a version that waits for ever": (REGISTRY, _in_versions(status="FAILED_REGISTRATION")),
    "a version of an unknown status": (REGISTRY, _in_versions(status="BANANA", current_stage="Banana")),
    "a version of no run": (REGISTRY, _in_versions(run_id="../..")),
    "aliases of no version": (REGISTRY, _aliases({"alias": "champion", "version": "99"})),
    "aliases that are none": (REGISTRY, _aliases(None, 1, [], {"alias": "champion"})),
    "two aliases of one name": (REGISTRY, _aliases(*({"alias": "champion", "version": n} for n in ("1", "2")))),
    "a logged model of another id": (LOGGED, _in_models(model_id="m-" + "f" * 32)),
    "a logged model whose id leads out": (LOGGED, _in_models(model_id="../../../../escaped")),
    "a logged model of another experiment": (LOGGED, _in_models(experiment_id="12345")),
    "a logged model of an unknown status": (LOGGED, _in_models(status="BANANA")),
    "a logged model at the end of time": (LOGGED, _in_models(creation_timestamp_ms=10**30)),
    "a logged model whose files are ours": (LOGGED, _in_models(artifact_uri="file:///etc")),
    "a file of a model that leads out": ("artifacts/directories", _files({"path": "../../etc/passwd", "file_size": 3})),
    "a file of a model without end": ("models/m-.*/artifacts/", raw(OK + b"\r\n", then=b"x" * 65536)),
    "other bytes of a model": ("models/m-.*/artifacts/model.bin", body(b"B" * 700)),
    **{
        f"a version served from {uri!r:.40}": ("get-download-uri", made(lambda asked, uri=uri: {"artifact_uri": uri}))  # type: ignore[misc]
        for uri in (
            *(
                "file:///etc",
                "/etc",
                "../..",
                "models:/churn/1",
                "models:/churn/x",
                "models:/m-" + "0" * 32,
                "models:/",
            ),
            *("runs:/../..", "runs:/", "s3://", "http://127.0.0.2:9/x", "mlflow-artifacts:/../../x", "\0", "x" * 9000),
        )
    },
}
"""What only verbs on models meet."""

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "\x1b]0;\x07", "a/../b", "\x00", "9" * 5000),
    *([], {}, [None], [[]], [{}], {"a": {}}, [{"key": 1}], [{"key": "a", "value": {}}]),
)
"""In the place of a value."""


def faults_of_models(places: tuple[str, ...]) -> Iterator[Fault]:
    """Those of models, and those that fit anywhere, in each of the places."""
    yield from (Fault(name, where, answer) for name, (where, answer) in OF_MODELS.items())
    for where in places:
        yield from (Fault(f"{name} at {where}", where, NAMED[name][1]) for name in ANYWHERE)


def faults() -> Iterator[Fault]:
    """All that have a name."""
    return (Fault(name, where, answer) for name, (where, answer) in NAMED.items())


def mutation(seed: int, places: tuple[str, ...]) -> Fault:
    """One value of one kind of document replaced by an odd one, removed, or doubled, as a number says."""
    chance = random.Random(seed)
    where, odd, how = chance.choice(places), chance.choice(ODD), chance.random()

    def change(document: dict[str, Any]) -> None:
        nodes = list(_nodes(document))
        if not nodes:
            return
        holder, key = random.Random(seed).choice(nodes)
        if how < 0.1:
            del holder[key]
        elif how < 0.15 and isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[key] = odd

    return Fault(f"mutation {seed} of {where}: {odd!r:.40}", where, changed(change))


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place of a document: what holds it, and its key or number."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _nodes(value[key])
