"""Changes to runs and experiments: the question before, and the report as a person reads it."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import consent, options, say
from runsync.cli.commands import paths
from runsync.cli.text import listed, many
from runsync.cli.transfer_text import ANOTHER_TRY, stopped
from runsync.kinds import OWN_PATHS
from runsync.kinds.left_behind import told

if TYPE_CHECKING:
    from runsync.model.progress import Progress
    from runsync.runs.change import ChangeReport, How, Item

_OWN = tuple(kind.noun for kind in OWN_PATHS)
_DONE = {
    "rename": "renamed",
    "tag": "tagged",
    "untag": "untagged",
    "delete": "deleted",
    "restore": "restored",
    "import": "imported",
}
_ASKED_ABOUT = 5
"""Names before the question."""


def most(command: options.Command) -> options.Command:
    """The option that stops a change of too much."""
    told = "Fail, without changing anything, if more than N would change."
    command = _renamed("--max", "it is --max-changes N now, which changes nothing when more than N would be")(command)
    return click.option("--max-changes", "most", type=click.IntRange(min=0), metavar="N", help=told)(command)


def limit(told: str) -> Callable[[options.Command], options.Command]:
    """The option that takes only some of the runs."""

    def decorate(command: options.Command) -> options.Command:
        command = _renamed("--max-runs", "it is --limit N now, which takes N runs only")(command)
        return click.option("--limit", type=click.IntRange(1, 10_000), metavar="N", help=told)(command)

    return decorate


def _renamed(name: str, told: str) -> Callable[[options.Command], options.Command]:
    """An option of before: --max and --max-runs were taken for each other, so neither is guessed at."""

    def refuse(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.BadParameter(told)

    return click.option(name, hidden=True, expose_value=False, callback=refuse)


def how(
    ctx: click.Context,
    progress: "Progress",
    workers: int,
    dry_run: bool,
    most: int | None = None,
    is_asked: bool = False,
) -> "How":
    """How the change is to be made."""
    from runsync.runs.change import How

    return How(dry_run, most, _ask if is_asked else None, workers, options.access(ctx), progress)


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` pairs; the first `=` parts them, so a value may hold one."""
    found = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"“{text}” is not KEY=VALUE", param_hint="KEY=VALUE")
        found[key] = value
    return found


def lines(report: "ChangeReport") -> Iterator[str]:
    """What was done, then what was not, then how it ended."""
    verb = f"{report.verb} (dry run: nothing was changed)" if report.dry_run else report.verb
    yield f"{verb}: {report.workspace.address}"
    for action in dict.fromkeys(item.action for item in report.changed()):
        title = f"To {action}" if report.dry_run else _DONE[action].capitalize()
        yield from listed(title + _again(report, action), map(_told, report.of(action)))
    yield from listed("Failed", (f"{_told(item)}: {item.error}" for item in report.of("failed")))
    yield from listed("Not decidable", (f"{_told(item)}: {item.error}" for item in report.of("undecidable")))
    yield from listed("Not reached", map(_told, report.of("not reached")))
    if report.backup is not None:
        yield f"Backup: {report.backup.target.address}, snapshot {report.backup.snapshot or 'none'}"
    if report.imported is not None:
        title = "Would not come back" if report.dry_run else "Not brought back"
        yield from listed(title, map(told, report.imported.left_behind))
    yield from (f"Note: {note}" for note in report.notes)
    requests = f", {many(report.requests, 'request')}" if report.requests else ""
    yield f"{_summary(report)} in {report.seconds:.1f} s{requests}"
    yield _ending(report)


def _ask(planned: "ChangeReport") -> None:
    say.all_err(_preview(planned))
    group, verb = planned.verb.split()
    consent.ask(f"{planned.workspace.address}: {verb} {many(len(planned.changed()), group.removesuffix('s'))}")


def _preview(planned: "ChangeReport") -> Iterator[str]:
    for action in dict.fromkeys(item.action for item in planned.changed()):
        items = planned.of(action)
        children = sum(item.is_child for item in items)
        below = f", {children:,} of them nested in others" if children else ""
        yield f"To {action}{_again(planned, action)}: {_counted(items)}{below}"
        yield from (f"  {_told(item)}" for item in items[:_ASKED_ABOUT])
        if len(items) > _ASKED_ABOUT:
            yield f"  … and {len(items) - _ASKED_ABOUT:,} more (--dry-run lists them)"
    yield from (f"Note: {note}" for note in planned.notes)


def _again(report: "ChangeReport", action: str) -> str:
    """MLflow restores all runs of an experiment: those that were deleted before are not left so."""
    return " again, as before" if action == "delete" and not report.verb.endswith(action) else ""


def _counted(items: "list[Item]") -> str:
    counts = Counter(item.kind for item in items)
    told = " and ".join(many(count, kind) for kind, count in counts.items() if count)
    homes = {item.experiment for item in items if item.kind != "experiment"}
    return f"{told} in {many(len(homes), 'experiment')}" if len(homes) > 1 else told


def _told(item: "Item") -> str:
    text = f"{item.kind} {item.id}" + (f" “{item.name}”" if item.name else "")
    if item.kind != "experiment" and item.experiment:
        text += f" in “{item.experiment}”"
    new = f", now {item.new_id}" if item.new_id not in ("", item.id) else ""
    return text + new + (" (nested)" if item.is_child else "")


def _summary(report: "ChangeReport") -> str:
    would = "would be " if report.dry_run else ""
    told = []
    kinds = (*_OWN, *report.other_kinds())
    for kind in kinds:
        count: dict[str, Any] = report.counts(kind)
        if any(count.values()) or (kind == "run" and report.verb.startswith("runs")):
            rest = [f"{count[name]:,} {name.replace('_', ' ')}" for name in count if name != "changed" and count[name]]
            told.append(", ".join([f"{many(count['changed'], kind)} {would}changed", *rest]))
    if others := [item for item in report.of("failed") if item.kind not in kinds]:
        told.append(f"{many(len(others), 'other item')} failed")
    return "; ".join(told) or "Nothing"


def _ending(report: "ChangeReport") -> str:
    if report.stopped:
        return stopped(report.may_go_on)
    if failed := report.of("failed"):
        return _failed(report, failed)
    if report.of("undecidable"):
        return "Partly done: what could not be decided was left as it is."
    if report.imported is not None and report.imported.exit_code:
        if report.dry_run:
            return "It would be partly done: what is listed above would not come back with the runs."
        return "Partly done: what is listed above did not come back with the runs."
    if report.dry_run:
        return "Run it without --dry-run to do this." if report.changed() else "There is nothing to do."
    if report.verb.endswith(" delete") and (changed := report.changed()):
        them = "it" if len(changed) == 1 else "them"
        restore = report.verb.replace("delete", "restore")
        if restore not in paths():
            return f"Done. {'An import of the backup' if report.backup else 'Nothing'} brings {them} back."
        return f"Done. runsync {restore} brings {them} back, until {_purge(report)} {them}."
    return "Done."


def _failed(report: "ChangeReport", failed: "list[Item]") -> str:
    kinds = {item.kind if item.kind in _OWN else "item" for item in failed}
    lost = many(len(failed), kinds.pop() if len(kinds) == 1 else "item")
    if report.dry_run and not report.changed():
        return f"Nothing would be changed: {lost} would fail."
    if report.dry_run:
        return f"{lost} would fail, as listed above. Run it without --dry-run to do the rest."
    if not report.changed():
        begin = f"Nothing was changed: {lost} failed."
    else:
        begin = f"Partly done: {lost} failed."
    is_mendable = all(item.retry for item in failed)
    return f"{begin} {'Run it again to try again.' if is_mendable else ANOTHER_TRY}"


def _purge(report: "ChangeReport") -> str:
    """Who takes away for good what is deleted."""
    return "mlflow gc removes" if report.workspace.kind in ("database", "file store") else "the server purges"
