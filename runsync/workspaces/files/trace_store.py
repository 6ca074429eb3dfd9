"""Traces of a file store: see `workspaces.direct.traces.TraceStore`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from runsync.kinds.assessments import Assessment
from runsync.kinds.traces import Trace
from runsync.model.run import Problem
from runsync.workspaces.direct.traces import FoundSpans, StoredTrace, TraceWrite
from runsync.workspaces.files.layout import (
    TAGS,
    Broken,
    experiment_folders,
    find_experiment,
    is_text,
    printable,
    why,
    why_no_key,
)
from runsync.workspaces.files.strays import Strays
from runsync.workspaces.files.traces import METADATA, find_trace, read_time, read_trace, trace_folders
from runsync.workspaces.files.write_traces import delete_traces, write_traces
from runsync.workspaces.fitted import Fitted

NO_LINKS = "MLflow's file store keeps no links of traces to {}"


class FileTraces:
    """Those of one folder. `make` makes that where it is not there yet."""

    has_room = True
    keeps_spans = False
    wants_file = True

    def __init__(self, root: str, strays: Strays, make: Callable[[], None]) -> None:
        self._root = root
        self._strays = strays
        self._make = make
        self._unread: dict[str, str] = {}

    def traces(self, experiment_ids: Sequence[str], trace_ids: Collection[str] = ()) -> Iterator[StoredTrace]:
        """See `TraceStore`: memory holds the time and id of each."""
        told: set[str] = set()
        for experiment_id in experiment_ids:
            for _, trace_id, folder in sorted(self._listed(experiment_id)):
                if trace_id in told:
                    self._unread[printable(folder)] = "another one has the same id: move one of the two away"
                elif (stored := self._read(folder, experiment_id, trace_id)) is not None:
                    told.add(trace_id)
                    yield stored
        for trace_id in sorted({*trace_ids} - told):
            found = self._find(trace_id)
            if found is not None and (stored := self._read(found[1], found[0], trace_id)) is not None:
                yield stored

    def spans(self, trace_ids: Sequence[str]) -> Iterator[tuple[str, FoundSpans]]:
        """None are in the store itself."""
        return ((id, FoundSpans()) for id in trace_ids)

    def unreadable(self) -> Mapping[str, str]:
        """See `TraceStore`."""
        return self._unread

    def fitted(self, item: Trace) -> Fitted[Trace]:
        """See `TraceStore`: tags and metadata are files."""
        left_out: list[Problem] = []
        texts = {}
        for what, name, field in (("tag", TAGS, item.tags), ("metadata", METADATA, item.metadata)):
            misfits = {key: reason for key, value in field.items() if (reason := _misfit(key, value, field))}
            left_out += (Problem(what, key, reason) for key, reason in misfits.items())
            texts[name] = {key: value for key, value in field.items() if key not in misfits}
        for one in item.assessments:
            if reason := why_no_key(f"{one.assessment_id}.yaml"):
                left_out.append(Problem("assessment", one.name, reason))
        for run_id in item.linked_runs:
            left_out.append(Problem("linked run", run_id, NO_LINKS.format("runs")))
        for prompt in item.linked_prompts:
            left_out.append(Problem("linked prompt", prompt, NO_LINKS.format("prompts")))
        fitting = replace(
            item,
            tags=texts[TAGS],
            metadata=texts[METADATA],
            assessments=tuple(filter(_has_file, item.assessments)),
            linked_runs=(),
            linked_prompts=(),
        )
        return Fitted(fitting, tuple(left_out))

    def refresh(self) -> None:
        """Nothing is remembered."""

    def write(self, writes: Sequence[TraceWrite]) -> None:
        """See `TraceStore`."""
        self._make()
        write_traces(self._root, writes)

    def delete(self, trace_ids: Collection[str]) -> None:
        """See `TraceStore`."""
        folders = [found[1] for id in sorted(trace_ids) if (found := self._find(id)) is not None]
        delete_traces(self._root, folders)

    def _listed(self, experiment_id: str) -> Iterator[tuple[int, str, str]]:
        folder = find_experiment(self._root, experiment_id)
        try:
            for trace_id, path in trace_folders(folder.path, self._strays) if folder is not None else ():
                try:
                    yield read_time(path), trace_id, path
                except FileNotFoundError:
                    continue  # it went away meanwhile
                except (Broken, OSError) as error:
                    self._unread[printable(trace_id)] = why(error)
        except (Broken, OSError) as error:
            self._unread[f"of experiment {experiment_id}"] = why(error)

    def _read(self, folder: str, experiment_id: str, trace_id: str) -> StoredTrace | None:
        try:
            return read_trace(folder, experiment_id, trace_id, self._strays)
        except FileNotFoundError:
            return None
        except (Broken, OSError) as error:
            self._unread[printable(trace_id)] = why(error)
            return None

    def _find(self, trace_id: str) -> tuple[str, str] | None:
        """The experiment and the folder of a trace."""
        for experiment in experiment_folders(self._root):
            folder = find_trace(experiment.path, trace_id)
            if folder is not None:
                return experiment.experiment_id, folder
        return None


def _has_file(one: Assessment) -> bool:
    return not why_no_key(f"{one.assessment_id}.yaml")


def _misfit(key: str, value: str, others: Mapping[str, str]) -> str:
    if reason := why_no_key(key):
        return reason
    if not is_text(value):
        return "it has characters that UTF-8 does not have"
    if any(other.startswith(f"{key}/") for other in others):
        return "there is another one below it, and a file store cannot keep both"
    return ""
