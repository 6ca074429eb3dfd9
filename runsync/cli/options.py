"""Options that several commands share, as decorators."""

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import completion
from runsync.limits import UNLIMITED, Limits, parse_rate
from runsync.model.option import Keyword, Option, keywords
from runsync.transfer.options import Accepting, Artifacts, DryRun, Running, VerifyingStored, WaitingForLock

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.patience import Patience

Command = Callable[..., Any]
_COMPLETED = {"accept": completion.kinds}
_SELECTING = (
    *("experiments", "runs", "filter_", "since", "until", "state"),
    *("min_runs", "expect_runs", "models", "kinds"),
)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """All of them, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def selecting(state: str) -> Callable[[Command], Command]:
    """The options of a selection; `state` is what `--state` is when it is not given."""
    return together(
        click.option(
            "--experiment",
            "experiments",
            multiple=True,
            metavar="NAME",
            shell_complete=completion.experiments,
            help="Only this experiment: a name, id or glob (name:NAME or id:ID if ambiguous). Repeatable.",
        ),
        click.option(
            "--run",
            "runs",
            multiple=True,
            metavar="RUN",
            help="Only this run: an id or its beginning, a name, or EXPERIMENT/NAME. Repeatable.",
        ),
        click.option(
            "--filter",
            "filter_",
            default="",
            metavar="EXPR",
            help="Only runs that match, such as \"metrics.r2 > 0.3 AND NOT tags.team = 'x'\" (see docs/filters.md).",
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Only runs started at or after this time: 2026-11-01, 2026-11-01T12:00Z, or 7d (days ago).",
        ),
        click.option("--until", metavar="TIME", help="Only runs started at or before this time."),
        click.option(
            "--state",
            type=click.Choice(["active", "deleted", "all"]),
            default=state,
            show_default=True,
            help="Lifecycle stage of the runs.",
        ),
    )


selection = selecting("all")
expected = together(
    click.option(
        "--min-runs",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Fail with exit code 4, before writing anything, if fewer than N runs match.",
    ),
    click.option(
        "--expect-runs",
        type=click.IntRange(min=0),
        metavar="N",
        help="Fail the same way unless exactly N runs match.",
    ),
)


kinds = together(
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="Only this registered model, with its runs and files: NAME, NAME/VERSION or NAME@ALIAS. Repeatable.",
    ),
    click.option(
        "--kinds",
        multiple=True,
        metavar="KINDS",
        shell_complete=completion.kinds,
        help="Only these kinds of objects, such as runs,registered-models. Repeatable.",
    ),
)


def of(group: type, /, **before: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Those that a group of options of verbs has on the command line; in `before` is what stands before one of them."""
    found = []
    for keyword in keywords(group):
        found += [before[keyword.name]] if keyword.name in before else []
        found += [_made(keyword, keyword.option)] if keyword.option else []
    return together(*found)


def _made(keyword: Keyword, option: Option) -> Callable[[Command], Command]:
    settings: dict[str, Any] = {"is_flag": isinstance(keyword.default, bool), "multiple": option.repeatable}
    if option.between:
        settings["type"] = click.IntRange(*option.between)
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
workers = of(Running)


def selected(
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    filter_: str,
    since: str | None,
    until: str | None,
    state: str,
    min_runs: int = 0,
    expect_runs: int | None = None,
    named: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
) -> Any:
    """The Selection that the shared options mean; `named` are runs that stand before them."""
    from runsync.model.selection import Selection
    from runsync.model.times import parse_time

    return Selection(
        experiments,
        (*named, *runs),
        filter_,
        parse_time(since) if since else None,
        parse_time(until) if until else None,
        state,
        min_runs,
        expect_runs,
        models,
        tuple(name for text in kinds for part in text.split(",") if (name := part.strip())),
    )


def gathered(ctx: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a verb, from what was given to its command."""
    selecting = {name: given.pop(name) for name in _SELECTING if name in given}
    return {**given, "selection": selected(**selecting), "access": access(ctx)}


def access(ctx: click.Context) -> "Access":
    """How to get at bundles and workspaces, from the options that were kept aside."""
    from runsync.bundle.address import Access
    from runsync.s3 import S3Options

    kept: dict[str, Any] = ctx.obj
    given = {name: kept.get(f"s3_{name}") or "" for name in ("endpoint", "profile", "sse", "kms_key", "storage_class")}
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
