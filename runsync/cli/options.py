"""Options that several commands share, as decorators."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import completion
from runsync.limits import UNLIMITED, Limits, parse_rate
from runsync.model.option import Keyword, Option, keywords
from runsync.model.selection import Selection
from runsync.options import Artifacts, DryRun, Reaching, VerifyingStored, WaitingForLock
from runsync.transfer.options import Accepting

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.patience import Patience

Command = Callable[..., Any]
_COMPLETED = {"accept": completion.kinds, "kinds": completion.kinds, "experiments": completion.experiments}
_WHICH = ("experiments", "runs", "filter", "since", "until", "state")


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """All of them, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def of(group: type, /, **before: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Those that a group of options of verbs has on the command line; in `before` is what stands before one of them."""
    found = []
    for keyword in keywords(group):
        found += [before[keyword.name]] if keyword.name in before else []
        found += [_made(keyword, keyword.option)] if keyword.option else []
    return together(*found)


def _some(group: type, *names: str, **defaults: Any) -> Callable[[Command], Command]:
    """Those of these names; with other defaults than in Python, where the commands have such."""
    found = {each.name: replace(each, default=defaults.get(each.name, each.default)) for each in keywords(group)}
    return together(*(_made(found[name], option) for name in names if (option := found[name].option)))


def _made(keyword: Keyword, option: Option) -> Callable[[Command], Command]:
    settings: dict[str, Any] = {
        "is_flag": isinstance(keyword.default, bool),
        "multiple": option.repeatable,
        "nargs": option.values,
    }
    if option.between:
        settings["type"] = click.IntRange(*option.between)
    if option.choices:
        settings["type"] = click.Choice(option.choices)
    if option.shows_default:
        settings |= {"default": keyword.default, "show_default": True}
    return click.option(
        keyword.flag,
        keyword.name,
        metavar=option.metavar or None,
        shell_complete=_COMPLETED.get(keyword.name),
        callback=partial(_read, keyword, option),
        help=f"{option.help} Repeatable." if option.repeatable else option.help,
        **settings,
    )


def _read(keyword: Keyword, option: Option, ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """What a verb takes, of what was typed."""
    if value is None or value is False or value == ():
        return keyword.default
    if value is True:
        return not keyword.default
    try:
        return option.parse(value) if option.parse else value
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=keyword.flag) from None


def selecting(state: str) -> Callable[[Command], Command]:
    """The options of a selection; `state` is what `--state` is when it is not given."""
    return _some(Selection, *_WHICH, state=state)


selection = selecting("all")
expected = _some(Selection, "min_runs", "expect_runs")
kinds = _some(Selection, "models", "kinds")


def _kept(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Options that say how a command works, not what it does, are kept aside for `access` and its like."""
    ctx.obj[parameter.name] = value


def _heard(callback: Callable[..., None], *names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, expose_value=False, callback=callback, **settings)


def _aside(*names: str, **settings: Any) -> Callable[[Command], Command]:
    return _heard(_kept, *names, **settings)


def _journal(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """The journal begins before anything else, so that it tells also what was wrong with the command line."""
    if value is not None and not ctx.resilient_parsing:
        journal = ctx.obj["journal"]
        (journal.log_to if parameter.name == "log_file" else journal.measure_to)(ctx, value)


def _limit(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Of the two options that make up the limits, whichever is given."""
    given = ctx.obj.setdefault("limited", {})
    if parameter.name == "limit_rate":
        given["upload"], given["download"] = parse_rate(value)
    else:
        given["requests"] = value
    ctx.obj["limits"] = Limits(**given) if any(given.values()) else UNLIMITED


s3 = together(
    _aside("--s3-endpoint", metavar="URL", help="Endpoint of an S3-compatible store (or set AWS_ENDPOINT_URL)."),
    _aside("--s3-profile", metavar="NAME", help="AWS profile to use (or set AWS_PROFILE)."),
    _aside("--s3-sse", type=click.Choice(["AES256", "aws:kms"]), help="Server-side encryption for new S3 objects."),
    _aside("--s3-kms-key", metavar="KEY", help="KMS key for that encryption: an id or ARN."),
    _aside("--s3-storage-class", metavar="CLASS", help="Storage class for new S3 objects, such as STANDARD_IA."),
)
unattended = together(
    _aside("--quiet", is_flag=True, help="Print nothing unless something fails."),
    _heard(
        _journal,
        "--log-file",
        metavar="FILE",
        is_eager=True,
        help="Append a log to FILE, one event per line.",
    ),
    _heard(
        _journal,
        "--metrics-file",
        metavar="FILE",
        is_eager=True,
        help="Write Prometheus metrics to FILE (name it x.prom).",
    ),
    _heard(
        _limit,
        "--limit-rate",
        default="0",
        metavar="RATE",
        help="Limit bandwidth, in bytes per second: 20M, or UP:DOWN such as 5M:20M (0 means unlimited).",
    ),
    _heard(
        _limit,
        "--max-requests-per-second",
        type=click.FloatRange(min=0),
        default=0,
        metavar="N",
        help="Limit the total requests to servers and S3 (0 means unlimited).",
    ),
)


wait = _aside(
    "--wait",
    metavar="TIME",
    help="If a server or store does not answer, keep trying for this long, such as 5m (or set RUNSYNC_PATIENCE, in "
    "seconds).",
)
json = click.option("--json", "as_json", is_flag=True, help="Print one JSON report to stdout.")
artifact_root = _aside(
    "--artifacts",
    "artifact_root",
    metavar="URI",
    help="Actual location of a database's or file store's artifacts: a folder or s3://….",
)
accept = of(Accepting)
artifacts = of(Artifacts, artifacts=artifact_root)
dry_run = of(DryRun)
retry_lock = of(WaitingForLock)
verify_stored = of(VerifyingStored)
workers = of(Reaching)


def selected(given: dict[str, Any], named: tuple[str, ...] = ()) -> Selection:
    """The Selection that the shared options mean, which are taken out of `given`; `named` are runs that stand before
    them."""
    chosen = {each.name: given.pop(each.name) for each in keywords(Selection) if each.name in given}
    return Selection(**{**chosen, "runs": (*named, *chosen["runs"])})


def gathered(ctx: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a verb, from what was given to its command."""
    selection = selected(given)
    return {**given, "selection": selection, "access": access(ctx)}


def access(ctx: click.Context) -> "Access":
    """How to get at bundles and workspaces, from the options that were kept aside."""
    from runsync.bundle.address import Access
    from runsync.s3 import S3Options

    kept: dict[str, Any] = ctx.obj
    given: dict[str, Any] = {
        name: kept.get(f"s3_{name}") or "" for name in ("endpoint", "profile", "sse", "kms_key", "storage_class")
    }
    return Access(
        kept["config"],
        S3Options(**given),
        kept.get("limits", UNLIMITED),
        kept.get("artifact_root") or "",
        patience=_patience(kept.get("wait")),
    )


def _patience(wait: str | None) -> "Patience":
    """At a terminal an address where nobody answers is told at once; unattended it is waited for."""
    from runsync.patience import Patience

    is_watched = sys.stdin.isatty() and sys.stderr.isatty()
    return Patience.from_environment().waiting(seconds(wait) if wait is not None else None, is_watched)


def seconds(text: str) -> float:
    """Of a duration such as 90s, 5m or 2h."""
    from runsync.model.times import parse_duration

    return parse_duration(text).total_seconds()
