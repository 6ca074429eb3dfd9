"""A command's numbers in Prometheus' text format, for the textfile collector of node_exporter."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_HELP = {
    "last_run_timestamp_seconds": "When the command last ended, however it did.",
    "last_success_timestamp_seconds": "When it last ended with exit code 0; 0 when it never did.",
    "duration_seconds": "How long it took.",
    "exit_code": "What it ended with.",
    "runs": "Runs by what was done with them.",
    "metric_points": "Metric points read or written.",
    "artifacts": "Artifact files read or written.",
    "artifact_bytes": "Their bytes.",
    "snapshots": "Snapshots looked at.",
    "files": "Files of the bundle.",
    "bytes": "Bytes read of the bundle.",
    "problems": "What failed, is missing, differs or is broken.",
    "not_carried": "What stayed behind and was not accepted, where it was counted.",
    "requests": "HTTP requests sent.",
}
NAMES = frozenset(_HELP)
"""All there are, without the `runsync_` before them."""

_NUMBERS = ("metric_points", "artifacts", "artifact_bytes", "snapshots", "files", "bytes", "requests")
_PROBLEMS = ("failed", "problems", "differences", "faults", "broken")
_SUCCESS = "last_success_timestamp_seconds"


def _runs(*states: str) -> tuple[str, ...]:
    return tuple(f'runs{{state="{state}"}}' for state in states)


_TRANSFER = (
    *_runs("created", "updated", "unchanged", "failed"),
    *("metric_points", "artifacts", "artifact_bytes", "requests", "problems", "not_carried"),
)
_CHANGE = (*_runs("changed", "unchanged", "failed", "undecidable", "not_reached"), "requests", "problems")
_SERIES = {
    "export": _TRANSFER,
    "import": _TRANSFER,
    "sync": _TRANSFER,
    "verify": (*_runs("compared"), "metric_points", "artifacts", "requests", "problems"),
    "check": ("snapshots", "files", "bytes", "problems"),
    "copy": ("files", "bytes", "problems"),
    "diff": (*_runs("added", "changed", "removed"), "requests"),
    "forget": ("problems",),
    "prune": ("snapshots",),
    "runs compare": ("requests", "problems"),
}
"""What a command writes at every end, 0 when it came to nothing: an alert never lacks what it asks for."""


def _series(verb: str) -> tuple[str, ...]:
    changes = ("delete", "restore", "rename", "tag", "untag")
    return _CHANGE if verb.rpartition(" ")[2] in changes else _SERIES.get(verb, ())


def counts(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a report, each with its name (and state): whichever it has."""
    runs = report.get("runs")
    for state, count in runs.items() if isinstance(runs, Mapping) else ():
        yield f'runs{{state="{state}"}}', count
    if isinstance(runs, int):
        yield 'runs{state="compared"}', runs
    for name in _NUMBERS:
        if isinstance(report.get(name), int):
            yield name, report[name]
    lists = [report[name] for name in _PROBLEMS if isinstance(report.get(name), list)]
    if lists:
        yield "problems", sum(map(len, lists))
    if isinstance(left := report.get("not_carried"), list):
        yield "not_carried", sum(entry["count"] or 0 for entry in left if entry["kind"] and not entry["accepted"])


def probe(place: Path) -> None:
    """Raises OSError when the file could not be written."""
    if place.is_dir():
        raise IsADirectoryError(None, "it is a folder")
    from runsync.whole_file import SUFFIX, beginning, clear

    clear(place.parent)
    beside = place.with_name(f"{beginning()}{SUFFIX}")
    beside.touch()
    beside.unlink()


def write(place: Path, verb: str, target: str, report: Mapping[str, Any], code: int, seconds: float) -> None:
    """Replaces the file at once, with every number the command has, however it ended.

    The time of the last success is kept from the file that was there when this was none. Raises OSError.
    """
    from runsync.whole_file import whole_file

    labels = f'verb="{_escaped(verb)}",target="{_escaped(target)}"'
    now = time.time()
    is_success = code == 0 and bool(report) and not report.get("dry_run")
    success = now if is_success else _last_success(place, labels)
    samples = [("last_run_timestamp_seconds", now), ("duration_seconds", seconds), ("exit_code", code)]
    samples.append((_SUCCESS, success))
    samples += {**dict.fromkeys(_series(verb), 0), **dict(counts(report))}.items()
    with whole_file(place) as file:  # the collector reads *.prom
        file.write("".join(_lines(samples, labels)).encode())


def _lines(samples: list[tuple[str, float]], labels: str) -> Iterator[str]:
    told = ""
    for sample, value in samples:
        name, _, more = sample.partition("{")
        if name != told:
            told = name
            yield f"# HELP runsync_{name} {_HELP[name]}\n# TYPE runsync_{name} gauge\n"
        yield f"runsync_{name}{{{labels}{',' if more else ''}{more.rstrip('}')}}} {value:.15g}\n"


def _last_success(place: Path, labels: str) -> float:
    beginning = f"runsync_{_SUCCESS}{{{labels}}} "
    with suppress(OSError, ValueError):
        for line in place.read_text(encoding="utf-8").splitlines():
            if line.startswith(beginning):
                return float(line.removeprefix(beginning))
    return 0.0


def _escaped(value: str) -> str:
    value = value.encode(errors="backslashreplace").decode()
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
