"""delete_traces: traces that a filter means, deleted for good; exported first where that is asked for."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from runsync.bundle.snapshot import open_snapshot
from runsync.contract.editor import Editor
from runsync.errors import RunsyncError, WrongUsage
from runsync.kinds.left_behind import CATEGORIES
from runsync.kinds.scope import Scope
from runsync.kinds.trace_filter import OPTION, TRACE_NAME, TraceFilter
from runsync.kinds.traces import TRACES, Trace
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.named import BY_ID
from runsync.model.run import Unreadable
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.runs.change import DELETE, ChangeReport, How, Item, Together, carry_out
from runsync.runs.changing import changing
from runsync.traces.listing import chosen_traces
from runsync.transfer.export import export
from runsync.transfer.find import quoted

A_REQUEST = 100
"""Traces that are deleted together."""


def delete_traces(
    where: str,
    traces: Sequence[str] = (),
    *,
    filter: str = "",
    experiments: Sequence[str] = (),
    before: int | None = None,
    backup: str | Path | None = None,
    how: How | None = None,
) -> ChangeReport:
    """Deletes, for good, the traces of active experiments that all of these mean: `traces` (ids), `filter` (MLflow's
    trace search syntax), `experiments` (names, ids or globs), and `before` (began before that time in epoch
    milliseconds).

    `backup` names a bundle: they are exported there first, and nothing is deleted unless all of them are in it. Running
    it again finishes what was stopped. Raises WrongUsage where nothing says which, NothingSelected, TooManyChanges, and
    what `how.confirm` raises.
    """
    how = how or How()
    texts = tuple(_filters(traces, filter, before))
    if not texts and not experiments:
        raise WrongUsage("say which traces to delete: TRACE, --filter, --experiment or --older-than")
    asked: dict[str, object] = {"traces": list(traces), "filter": filter, "experiments": list(experiments)}
    asked |= {"before": before, "max_changes": how.most, "backup": backup and str(backup)}
    with changing(where, "traces delete", how, asked) as (source, editor, report):
        homes = source.experiments(Selection(tuple(experiments), state=ACTIVE))
        names = {e.experiment_id: e.name for e in homes}
        scope = Scope(homes, {OPTION: texts} if texts else {}, linked_runs=_linked(texts))
        unreadable: list[Unreadable] = []
        side = chosen_traces(source, scope, unreadable)
        going: dict[str, list[Item]] = defaultdict(list)
        for trace in side.list(scope) if homes else ():
            going[trace.experiment_id].append(_item(trace, names.get(trace.experiment_id, "")))
        for one in unreadable:
            report.note_unread(one)
        together = [group for home, items in going.items() for group in _groups(editor, home, items)]
        ids = frozenset(item.id for items in going.values() for item in items)
        save = partial(_save, report, where, backup, homes, texts, ids, how) if backup is not None else None
        carry_out(report, [], how, save, together)
    return report


def _filters(traces: Sequence[str], filter: str, before: int | None) -> Iterator[str]:
    if filter:
        yield filter
    if traces:
        yield f"trace_id IN ({', '.join(map(quoted, traces))})"
    if before is not None:
        yield f"timestamp_ms < {before}"


def _linked(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(run for text in texts for run in TraceFilter(text).runs)


def _item(trace: Trace, home: str) -> Item:
    return Item(TRACES.noun, trace.trace_id, trace.tags.get(TRACE_NAME, ""), home, DELETE)


def _groups(editor: Editor, experiment_id: str, items: Sequence[Item]) -> Iterator[Together]:
    waiting = iter(items)
    while some := list(islice(waiting, A_REQUEST)):
        act: Callable[[], Sequence[Item]] = partial(_delete, editor, experiment_id, some)
        yield Together(frozenset(item.id for item in some), act, some)


def _delete(editor: Editor, experiment_id: str, items: Sequence[Item]) -> Sequence[Item]:
    editor.delete_entities(TRACES, experiment_id, [item.id for item in items])
    return items


def _save(
    report: ChangeReport,
    where: str,
    backup: str | Path,
    homes: Sequence[Experiment],
    texts: Sequence[str],
    ids: frozenset[str],
    how: How,
) -> None:
    """Exports them. Raises RunsyncError unless each is in the bundle, with all that belongs to it."""
    selection = Selection(tuple(BY_ID + e.experiment_id for e in homes), kinds=(TRACES.name,))
    report.backup = export(
        where,
        backup,
        selection=selection,
        trace_filter=texts or None,
        accept=[name for name in CATEGORIES if name != TRACES.name],
        workers=how.workers,
        access=how.access,
        progress=how.progress,
    )
    done = report.backup
    lost = done.failed + done.problems
    why = done.stopped or (f"{many(len(lost), 'thing')} failed" if lost else "")
    if not why:
        snapshot = open_snapshot(backup, how.access)
        missing = ids - {item.trace_id for item in snapshot.entities(TRACES).all()}
        why = f"{many(len(missing), TRACES.noun)} changed meanwhile" if missing else ""
    if why:
        raise RunsyncError(f"the backup is not whole ({why}): nothing was deleted")
