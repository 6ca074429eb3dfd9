"""Which function answers which endpoint, and which fields it takes."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from emulators.databricks.errors import Refusal
from emulators.databricks.fields import Message, malformed, message, parse, repeated
from emulators.server import Reply, Request

if TYPE_CHECKING:
    from emulators.databricks.users import User
    from emulators.databricks.workspace import Databricks

LONGS = frozenset(
    [
        "creation_time",
        "last_update_time",
        "start_time",
        "end_time",
        "timestamp",
        "step",
        "file_size",
        "creation_timestamp_ms",
        "last_updated_timestamp_ms",
        "runs_deleted",
        "runs_restored",
        "creation_timestamp",
        "last_updated_timestamp",
    ]
)
"""Fields of answers that are int64, which proto3 JSON may write as strings."""


@dataclass(frozen=True)
class Call:
    """A request that was let in: its fields are checked, of path, query and body together."""

    request: Request
    path: str
    query: Mapping[str, list[str]]
    fields: Mapping[str, Any]
    user: "User"


Handler = Callable[["Databricks", Call], Any]


@dataclass(frozen=True)
class Route:
    """One endpoint. `reads`: where its fields are, `json`, `query`, `either` of them, or `raw` (in the query: the
    body is bytes). `json or form`: a handler may read a form by itself.

    `path` may hold `{name}` for one segment and, at its end, `{name:path}` for the rest. `rate` is its class of rate
    limits.
    """

    method: str
    path: str
    answer: Handler
    fields: Message = field(default_factory=message)
    rate: str = "tracking"
    reads: str = ""

    @property
    def place(self) -> str:
        """Where its fields are."""
        return self.reads or ("query" if self.method in {"GET", "HEAD", "DELETE"} else "json")

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a path that it answers looks like."""
        escaped = re.escape(self.path).replace(r"\{", "{").replace(r"\}", "}")
        whole = re.sub(r"\{(\w+):path\}", r"(?P<\1>.*)", escaped)
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", whole))


class Routes:
    """All endpoints of a workspace; what is in none of them does not exist."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._exact = {(each.method, each.path): each for each in routes if "{" not in each.path}
        self._shaped = [(each.method, each.pattern, each) for each in routes if "{" in each.path]
        assert len(self._exact) + len(self._shaped) == len(routes), "an endpoint is there twice"

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The endpoint of a path, and what the path says. Raises Refusal."""
        if found := self._exact.get((method, path)):
            return found, {}
        for each, pattern, route in self._shaped:
            if each == method and (match := pattern.fullmatch(path)):
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        shown = path.removeprefix("/api/2.0")
        raise Refusal("ENDPOINT_NOT_FOUND", f"No API found for '{method} {shown}'", violation=True)

    def name(self, method: str, path: str) -> str:
        """What a request is called in the log: its endpoint, with `{names}`, or the path as it came."""
        for each, pattern, route in self._shaped:
            if each == method and pattern.fullmatch(path):
                return f"{method} {route.path}"
        return f"{method} {path}"


def query_of(target: str) -> tuple[str, dict[str, list[str]]]:
    """The raw path of a target, and its query by name."""
    path, _, text = target.partition("?")
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    return path, query


def read(route: Route, request: Request, query: Mapping[str, list[str]], said: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a request, checked. `said` is what the path says. Raises Refusal."""
    fields: dict[str, Any]
    if route.place == "raw":
        fields = {name: repeated(values, route.fields.fields.get(name)) for name, values in query.items()}
    elif route.place == "query":
        if request.body.strip() not in {b"", b"{}", b"null"}:
            raise malformed(f"{request.method} {route.path} takes no body")
        fields = {name: repeated(values, route.fields.fields.get(name)) for name, values in query.items()}
    elif route.place == "either" and not request.body.strip():
        fields = {name: repeated(values, route.fields.fields.get(name)) for name, values in query.items()}
    elif route.place == "json or form" and "multipart/form-data" in request.headers.get("content-type", ""):
        return {}
    else:
        if query:
            raise malformed(f"{request.method} {route.path} takes no query, but has {sorted(query)}")
        fields = parse(request.body) if request.body.strip() else {}
    if not isinstance(fields, dict):
        raise malformed("the body is no object")
    for name, value in said.items():
        if name in route.fields.fields and fields.get(name, value) != value:
            raise malformed(f"{name} is another one in the path")
    checked = route.fields({name: value for name, value in fields.items() if name not in said}, "request")
    return checked | dict(said)


def render(answer: Any, longs_as_text: bool) -> Reply:
    """What a handler returned as an answer over HTTP."""
    if isinstance(answer, Reply):
        return answer
    document = {} if answer is None else answer
    if longs_as_text:
        document = _with_text_longs(document)
    body = json.dumps(document, allow_nan=False).encode()
    return Reply(200, body, {"Content-Type": "application/json"})


def _with_text_longs(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_text_longs(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: str(each) if name in LONGS and isinstance(each, int) else _with_text_longs(each)
        for name, each in value.items()
    }
