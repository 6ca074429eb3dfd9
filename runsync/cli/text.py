"""Reports as a person reads them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runsync.cli.tables import table as table
from runsync.model.times import iso
from runsync.model.wording import many as many

if TYPE_CHECKING:
    from runsync.bundle.dates import Doubt

MOST_LISTED = 20
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes with a unit: 1.5 MB."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def listed(title: str, lines: Iterable[str], count: int | None = None) -> Iterator[str]:
    """A title and what is under it, cut after MOST_LISTED; `count` where a line may tell of several."""
    lines = list(lines)
    if lines:
        yield f"{title} ({len(lines) if count is None else count}):"
        yield from (f"  {line}" for line in lines[:MOST_LISTED])
        if len(lines) > MOST_LISTED:
            yield f"  … and {len(lines) - MOST_LISTED} more (--json lists all)"


def selection(asked: Mapping[str, Any], with_artifacts: bool = True) -> str:
    """What an export asked for, in the words of the options."""
    told = [f"--experiment {name}" for name in asked["experiments"]] + [f"--run {run}" for run in asked["runs"]]
    told += [f"--model {name}" for name in asked.get("models", ())]
    told += [f"--kinds {','.join(kinds)}"] if (kinds := asked.get("kinds")) else []
    told += [f"--filter {asked['filter']}"] if asked["filter"] else []
    told += [f"--{bound} {iso(asked[bound])}" for bound in ("since", "until") if asked[bound] is not None]
    told += [f"--state {asked['state']}"] if asked["state"] != "all" else []
    return (", ".join(told) or "everything") + ("" if with_artifacts else ", without artifacts")


def doubted(dates: Iterable["Doubt"]) -> Iterator[str]:
    """Snapshots whose date cannot be right, and what follows from that."""
    lines = [str(one) for one in dates]
    yield from listed("Doubtful dates", lines)
    if lines:
        yield "A clock was wrong when they were made, or is behind now. No rule of forget removes or counts them."


def error_document(message: str, below: Iterable[str], code: int) -> dict[str, Any]:
    """What --json prints of a command that ended without a report: `schemas/v1/error-report.schema.json`."""
    return {
        "format": "runsync-error-report",
        "version": 1,
        "exit_code": code,
        "error": message,
        "details": list(below),
    }


def json_text(document: dict[str, Any]) -> str:
    """A report for programs. A file name that is not UTF-8 stands in it with escapes."""
    import orjson

    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONEncodeError:
        return orjson.dumps(_in_unicode(document), option=orjson.OPT_INDENT_2).decode()


def _in_unicode(value: Any) -> Any:
    """Without lone surrogates, as which Python has bytes that are not UTF-8: no JSON holds them."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_in_unicode(name): _in_unicode(inner) for name, inner in value.items()}
    return [_in_unicode(inner) for inner in value] if isinstance(value, list | tuple) else value
