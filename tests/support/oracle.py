"""The judge: reads two workspaces over plain REST, independently of runsync, and names every difference."""

import fnmatch
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import requests

API = "/api/2.0/mlflow"
ORIGIN = "runsync.source.run_id"
COPY = "runsync.copy"
OURS = "runsync."
LINKS = ("mlflow.parentRunId", "mlflow.rootRunId")
HISTORY = "mlflow.log-model.history"
INFO = ("run_name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")

RunState = dict[str, Any]


@dataclass
class Workspace:
    """All that was read: experiments by name, runs by run id."""

    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, RunState] = field(default_factory=dict)


class Reader:
    """Reads one MLflow server. Raises `requests.HTTPError` when it refuses."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(headers or {})

    def read(self, experiments: Sequence[str], *, artifacts: bool = True) -> Workspace:
        """Experiments whose names match one of the globs, with all their runs in every lifecycle stage."""
        found = Workspace()
        with self._session:
            for document in self._experiments():
                if any(fnmatch.fnmatchcase(document["name"], pattern) for pattern in experiments):
                    found.experiments[document["name"]] = _experiment(document)
                    self._read_runs(found, document, artifacts)
        return found

    def _read_runs(self, found: Workspace, experiment: dict[str, Any], artifacts: bool) -> None:
        for document in self._runs(experiment["experiment_id"]):
            run = _run(document, experiment["name"])
            run_id = document["info"]["run_id"]
            run["points"] = {key: self._history(run_id, key) for key in run["latest"]}
            if artifacts:
                uri = document["info"]["artifact_uri"]
                run["artifacts"] = {path: self._bytes(run_id, uri, path) for path in self._paths(run_id)}
            found.runs[run_id] = run

    def _get(self, path: str, /, **parameters: Any) -> requests.Response:
        answer = self._session.get(self.url + path, params=parameters or None, timeout=300)
        if not answer.ok:
            text = f"GET {path} {parameters}: {answer.status_code} {answer.text[:500]}"
            raise requests.HTTPError(text, response=answer)
        return answer

    def _pages(self, ask: Callable[[dict[str, Any]], dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
        token: dict[str, Any] = {}
        while True:
            page = ask(token)
            yield from page.get(name, [])
            if not page.get("next_page_token"):
                return
            token = {"page_token": page["next_page_token"]}

    def _experiments(self) -> Iterator[dict[str, Any]]:
        asked = {"view_type": "ALL", "max_results": 1000}
        return self._pages(lambda t: self._get(f"{API}/experiments/search", **asked, **t).json(), "experiments")

    def _runs(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        asked = {"experiment_ids": [experiment_id], "run_view_type": "ALL", "max_results": 500}

        def ask(token: dict[str, Any]) -> dict[str, Any]:
            answer = self._session.post(f"{self.url}{API}/runs/search", json=asked | token, timeout=300)
            answer.raise_for_status()
            page: dict[str, Any] = answer.json()
            return page

        return self._pages(ask, "runs")

    def _history(self, run_id: str, key: str) -> "Counter[tuple[int, int, str]]":
        asked = {"run_id": run_id, "metric_key": key, "max_results": 10_000}
        pages = self._pages(lambda t: self._get(f"{API}/metrics/get-history", **asked, **t).json(), "metrics")
        return Counter(_point(point) for point in pages)

    def _paths(self, run_id: str) -> Iterator[str]:
        folders = [""]
        while folders:
            folder = folders.pop()
            asked = {"run_id": run_id, "path": folder} if folder else {"run_id": run_id}
            for entry in self._get(f"{API}/artifacts/list", **asked).json().get("files", []):
                if entry.get("is_dir"):
                    folders.append(entry["path"])
                else:
                    yield entry["path"]

    def _bytes(self, run_id: str, artifact_uri: str, path: str) -> bytes:
        # The proxy of MLflow 2 fails at names outside latin-1, and where nothing is proxied there is none.
        if artifact_uri.startswith("mlflow-artifacts:") and path.isascii():
            place = quote(urlsplit(artifact_uri).path.strip("/") + "/" + path)
            return self._get(f"/api/2.0/mlflow-artifacts/artifacts/{place}").content
        return self._get("/get-artifact", run_id=run_id, path=path).content


def differences(
    source_url: str,
    target_url: str,
    experiments: Sequence[str],
    *,
    source_headers: Mapping[str, str] | None = None,
    target_headers: Mapping[str, str] | None = None,
    rename: Callable[[str], str] = lambda name: name,
    only_runs: Collection[str] | None = None,
    artifacts: bool = True,
) -> list[str]:
    """One line for each thing that the target lacks, has otherwise, or has more than the source.

    `experiments` are names or globs in the source; `rename` gives an experiment's name in the target;
    `only_runs` (source run ids) are the runs that were to be carried, if not all.
    """
    source = Reader(source_url, source_headers).read(experiments, artifacts=artifacts)
    wanted = [_literal(rename(name)) for name in source.experiments]
    target = Reader(target_url, target_headers).read(wanted, artifacts=artifacts)
    return compare(source, target, rename=rename, only_runs=only_runs)


def assert_same(source_url: str, target_url: str, experiments: Sequence[str], **options: Any) -> None:
    """Fails with every difference, and when nothing is selected; options as for `differences`."""
    found = differences(source_url, target_url, experiments, **options)
    shown = "\n  ".join(found[:60])
    more = f"\n  … and {len(found) - 60} more" if len(found) > 60 else ""
    assert not found, f"{len(found)} differences between {source_url} and {target_url}:\n  {shown}{more}"


def compare(
    source: Workspace,
    target: Workspace,
    *,
    rename: Callable[[str], str] = lambda name: name,
    only_runs: Collection[str] | None = None,
) -> list[str]:
    """The differences of two workspaces that were read."""
    if not source.experiments:
        return ["the source has no such experiment: nothing was compared"]
    runs = {run_id: run for run_id, run in source.runs.items() if only_runs is None or run_id in only_runs}
    names = {run["experiment"] for run in runs.values()} if only_runs is not None else source.experiments
    found: list[str] = []
    for name in names:
        found += _compare_experiment(source.experiments[name], target.experiments.get(rename(name)), name)
    origins = {run_id: run["origin"] or run_id for run_id, run in source.runs.items()}
    copies = _copies(target)
    new_ids = {old: copies[origins[old]][0] for old in runs if origins[old] in copies}
    for run_id, run in runs.items():
        label = f"run {run['info']['run_name']!r} ({run_id})"
        matches = copies.get(origins[run_id], [])
        if len(matches) != 1:
            found.append(f"{label}: {len(matches)} copies in the target, not 1")
            continue
        expected = translated(run_id, run, new_ids) | {"experiment": rename(run["experiment"])}
        found += [f"{label}: {line}" for line in _compare_run(expected, target.runs[matches[0]])]
    known = {origins[run_id] for run_id in runs}
    for run_id, run in target.runs.items():
        if run["origin"] not in known:
            label = f"run {run['info']['run_name']!r} ({run_id} in the target)"
            found.append(f"{label} is no copy of any run meant")
    return found


def translated(run_id: str, run: RunState, new_ids: Mapping[str, str]) -> RunState:
    """The run as it must read in the target. A link to a run that was not carried is expected to be gone."""
    new = dict(run)
    tags = dict(run["tags"])
    for tag in LINKS:
        if tag in tags:
            if tags[tag] in new_ids:
                tags[tag] = new_ids[tags[tag]]
            else:
                del tags[tag]
    if HISTORY in tags:
        tags[HISTORY] = tags[HISTORY].replace(run_id, new_ids[run_id])
    new["tags"] = tags
    old_bytes, new_bytes = run_id.encode(), new_ids[run_id].encode()
    new["artifacts"] = {
        path: content.replace(old_bytes, new_bytes) if path.rpartition("/")[2] == "MLmodel" else content
        for path, content in run["artifacts"].items()
    }
    return new


def _literal(name: str) -> str:
    """A glob that matches this name only."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _copies(target: Workspace) -> dict[str, list[str]]:
    copies: dict[str, list[str]] = {}
    for run_id, run in target.runs.items():
        if run["origin"]:
            copies.setdefault(run["origin"], []).append(run_id)
    return copies


def _compare_experiment(source: dict[str, Any], target: dict[str, Any] | None, name: str) -> list[str]:
    if target is None:
        return [f"experiment {name!r} is missing"]
    found = _compare_values("lifecycle stage", source["lifecycle_stage"], target["lifecycle_stage"])
    found += _compare_maps("tag", source["tags"], target["tags"])
    return [f"experiment {name!r}: {line}" for line in found]


def _compare_run(expected: RunState, actual: RunState) -> list[str]:
    found = _compare_values("experiment", expected["experiment"], actual["experiment"])
    for name in INFO:
        found += _compare_values(name, expected["info"][name], actual["info"][name])
    found += _compare_maps("param", expected["params"], actual["params"])
    found += _compare_maps("tag", expected["tags"], actual["tags"])
    found += _compare_maps("latest point of metric", expected["latest"], actual["latest"])
    found += _compare_maps("dataset input", expected["inputs"], actual["inputs"])
    found += _compare_maps("artifact", expected["artifacts"], actual["artifacts"])
    for key in sorted(expected["points"].keys() | actual["points"].keys()):
        found += _compare_points(key, expected["points"].get(key), actual["points"].get(key))
    return found


def _compare_points(key: str, expected: "Counter[Any] | None", actual: "Counter[Any] | None") -> list[str]:
    expected, actual = expected or Counter(), actual or Counter()
    found = []
    if lacking := sorted((expected - actual).elements()):
        found.append(f"metric {key!r} lacks {len(lacking)} points (timestamp, step, value): {_brief(lacking)}")
    if more := sorted((actual - expected).elements()):
        found.append(f"metric {key!r} has {len(more)} points more (timestamp, step, value): {_brief(more)}")
    return found


def _compare_maps(what: str, expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    found = [f"{what} {key!r} is missing" for key in expected if key not in actual]
    found += [f"{what} {key!r} is there, with {_brief(actual[key])}" for key in actual if key not in expected]
    for key in expected:
        if key in actual:
            found += _compare_values(f"{what} {key!r}", expected[key], actual[key])
    return found


def _compare_values(what: str, expected: Any, actual: Any) -> list[str]:
    return [] if expected == actual else [f"{what} is {_brief(actual)}, not {_brief(expected)}"]


def _brief(value: Any) -> str:
    text = repr(value)
    size = f" ({len(value)} long)" if isinstance(value, str | bytes | list) else ""
    return text if len(text) <= 160 else f"{text[:120]}…{text[-30:]}{size}"


def _experiment(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "lifecycle_stage": document["lifecycle_stage"],
        "tags": _own_removed(_pairs(document.get("tags"))),
    }


def _run(document: dict[str, Any], experiment: str) -> RunState:
    info, data = document["info"], document.get("data", {})
    tags = _pairs(data.get("tags"))
    numbers = {name: int(info[name]) for name in ("start_time", "end_time") if name in info}
    return {
        "experiment": experiment,
        "origin": tags[COPY].rpartition(" ")[2] if COPY in tags else tags.get(ORIGIN, ""),
        "info": {name: numbers.get(name, info.get(name)) for name in INFO},
        "params": _pairs(data.get("params")),
        "tags": _own_removed(tags),
        "latest": {point["key"]: _point(point) for point in data.get("metrics", [])},
        "inputs": _inputs(document.get("inputs", {}).get("dataset_inputs", [])),
        "points": {},
        "artifacts": {},
    }


def _inputs(inputs: list[dict[str, Any]]) -> dict[str, str]:
    """Dataset inputs by name and digest, with everything told of them as text."""
    told = {}
    for each in inputs:
        dataset = each["dataset"]
        everything = {"dataset": dataset, "tags": _pairs(each.get("tags"))}
        told[f"{dataset['name']} {dataset['digest']}"] = json.dumps(everything, sort_keys=True)
    return told


def _point(point: dict[str, Any]) -> tuple[int, int, str]:
    """Timestamp, step, value; the value as exact text, so that NaN equals NaN."""
    return int(point.get("timestamp", 0)), int(point.get("step", 0)), repr(float(point.get("value", 0)))


def _pairs(pairs: list[dict[str, str]] | None) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in pairs or []}


def _own_removed(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith(OURS)}
