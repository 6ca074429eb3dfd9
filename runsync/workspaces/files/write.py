"""Runs and experiments into the folder.

What many runs of one call have written is brought to the disk at once (`settle`), before the renames that make it
show and again after them: a power cut leaves whole runs only, and what was told to be done is.
"""

import errno
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from runsync.errors import ABSENT, ITEM_ERRORS, TAKEN, RequestRefused
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import RUN_NAME
from runsync.model.run import Run
from runsync.workspaces.direct.misfits import EXPERIMENT_NAME, Misfit, Refusal, Unfit
from runsync.workspaces.direct.store import Arrival, Change, ExperimentChange
from runsync.workspaces.files.draft import (
    LOCK_PATIENCE,
    Draft,
    Held,
    NoPlace,
    key_path,
    replace_file,
    settle,
    why_no_place,
)
from runsync.workspaces.files.inputs import files_of_inputs, put_dataset_input
from runsync.workspaces.files.layout import (
    META,
    MODELS,
    PARAMS,
    TAGS,
    TRASH,
    Broken,
    entries_of,
    find_experiment,
    find_run,
    is_experiment_id,
    is_run_id,
    is_text,
    why,
)
from runsync.workspaces.files.meta import dump, read_meta
from runsync.workspaces.files.move import move_here
from runsync.workspaces.files.read import STATUSES, read_experiments
from runsync.workspaces.files.showing import locked, remove_texts, shown_together, told
from runsync.workspaces.files.write_points import add_points

_TOGETHER = 100
"""Runs that are held open at once; each holds a file handle."""
_OF_ONE_RUN = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP})
_NUMBERS = {name: number for number, name in STATUSES.items()}
_STAGED = ".runsync"
"""A file of an experiment while it is written; MLflow looks at folders only."""
_ABOVE = "there is a tag above or below it, and a file store cannot keep both"
_LOCAL = 4
"""SourceType.LOCAL, which MLflow writes for every run."""


def write_runs(root: str, arrivals: Sequence[Arrival]) -> dict[str, Refusal]:
    """See `DirectStore.write_runs`."""
    refused: dict[str, Refusal] = {}
    for start in range(0, len(arrivals), _TOGETHER):
        with told(root):
            refused |= _write_together(root, arrivals[start : start + _TOGETHER])
    return refused


def _write_together(root: str, arrivals: Sequence[Arrival]) -> dict[str, Refusal]:
    """Those that another import has in hand come after the others: who waits for a run holds none."""
    refused: dict[str, Refusal] = {}
    held: list[Arrival] = []
    with shown_together(root) as drafts:
        for arrival in arrivals:
            try:
                _prepare(root, arrival, drafts, refused, patience=0.0)
            except Held:
                held.append(arrival)
    for arrival in held:
        with shown_together(root) as drafts:
            _prepare(root, arrival, drafts, refused, LOCK_PATIENCE)
    for arrival in arrivals:
        if arrival.untagged and arrival.run.run_id not in refused:
            remove_texts(_folder_of(root, arrival.run.run_id), TAGS, arrival.untagged)
    return refused


def _prepare(root: str, arrival: Arrival, drafts: list[Draft], refused: dict[str, Refusal], patience: float) -> None:
    """Adds a run to the drafts, or why it is refused. Raises Held where patience is none."""
    try:
        drafts.append(_prepared(root, arrival, patience))
    except (Broken, OSError, *ITEM_ERRORS) as error:
        if isinstance(error, Held) and not patience:
            raise
        if isinstance(error, OSError) and error.errno not in _OF_ONE_RUN:
            raise
        refused[arrival.run.run_id] = Refusal(error if isinstance(error, Unfit) else why(error))


def change_runs(root: str, changes: Sequence[Change]) -> None:
    """See `DirectStore.change_runs`."""
    for start in range(0, len(changes), _TOGETHER):
        some = changes[start : start + _TOGETHER]
        held: list[Change] = []
        with told(root), shown_together(root) as drafts:
            for change in some:
                try:
                    drafts.append(_changed(root, change))
                except Held:
                    held.append(change)
        for change in held:
            with told(root), shown_together(root) as drafts:
                drafts.append(_changed(root, change, LOCK_PATIENCE))
        with told(root):
            for change in some:
                remove_texts(_folder_of(root, change.run_id), TAGS, change.untagged)


def create_experiment(root: str, experiment: Experiment) -> str:
    """See `DirectStore.create_experiment`."""
    with told(root), locked(root):
        _check_name(root, experiment.name)
        tags = _files_of_tags(experiment.tags)
        folder = _new_folder(root, experiment)
        location = experiment.artifact_location.replace("{experiment_id}", folder.name)
        meta = {"artifact_location": location, "experiment_id": folder.name} | _experiment_meta(experiment)
        _put_files(folder, tags | {META: _dumped(meta)})
        settle(root)
    return folder.name


def unfit_experiment(name: str, tags: Mapping[str, str]) -> Sequence[Misfit]:
    """See `DirectStore.unfit_experiment`."""
    try:
        _check_text(name)
        _files_of_tags(tags)
    except Unfit as error:
        return error.misfits
    return ()


def change_experiment(root: str, change: ExperimentChange) -> None:
    """See `DirectStore.change_experiment`."""
    with told(root), locked(root):
        folder = find_experiment(root, change.experiment_id)
        if folder is None:
            raise _no_experiment(change.experiment_id)
        if change.name is not None:
            _check_name(root, change.name, change.experiment_id)
        files = _files_of_tags(change.tags)
        if new := {name: value for name, value in _experiment_meta(change).items() if value is not None}:
            try:
                files[META] = _dumped(read_meta(f"{folder.path}/{META}") | new)
            except Broken as error:
                raise RequestRefused(f"experiment {change.experiment_id} cannot be changed: {error}") from error
        _put_files(Path(folder.path), files)
        remove_texts(folder.path, TAGS, change.untagged)
        stage = change.lifecycle_stage
        if stage is not None and folder.is_deleted != (stage == DELETED):
            Path(folder.path).rename(_parent(root, stage) / folder.experiment_id)
        settle(root)


def _prepared(root: str, arrival: Arrival, patience: float) -> Draft:
    run = arrival.run
    folder = find_experiment(root, run.experiment_id)
    if folder is None:
        raise Broken(f"experiment {run.experiment_id} is not there")
    if not is_run_id(run.run_id):
        raise Broken("its id is not one that MLflow takes")
    run = move_here(root, folder.path, run, arrival.is_new)
    draft = Draft(f"{folder.path}/{run.run_id}", arrival.is_new, patience)
    try:
        misfits = [
            *_put_texts(draft, PARAMS, run.params),
            *_put_texts(draft, TAGS, _tags(draft, run)),
            *_put_inputs(draft, folder.path, run),
        ]
        if misfits := misfits or add_points(draft, arrival.points):
            raise Unfit(misfits)
        draft.put(META, dump(_run_meta(run)))
    except BaseException:
        draft.drop()
        draft.close()
        raise
    return draft


def _tags(draft: Draft, run: Run) -> Mapping[str, str]:
    """Those of a run; the one that repeats its name follows a new name, as in MLflow."""
    if run.name and draft.present(key_path(TAGS, RUN_NAME)):
        return {RUN_NAME: run.name, **run.tags}
    return run.tags


def _put_texts(draft: Draft, kind: str, texts: Mapping[str, str]) -> Iterator[Misfit]:
    """Params or tags, by the name of their folder; gives those that have no place there."""
    for key, value in texts.items():
        try:
            draft.put(key_path(kind, key), _encoded(value, kind, key))
        except (Broken, OSError) as error:
            yield Misfit(kind.removesuffix("s"), key, why_no_place(error))


def _put_inputs(draft: Draft, experiment: str, run: Run) -> Iterator[Misfit]:
    """What it read and wrote; likewise."""
    for read in run.dataset_inputs:
        try:
            put_dataset_input(experiment, read)
        except (Broken, OSError) as error:
            yield Misfit("input", read.name, why_no_place(error), read)
    unfit = [link for link in run.model_outputs if not is_run_id(link.model_id)]
    for link in unfit:
        yield Misfit("output", link.model_id, "its id cannot be the name of a folder", link)
    if not unfit:
        for name, meta in files_of_inputs(run).items():
            draft.put(f"{name}/{META}", dump(meta))


def _encoded(value: str, kind: str, key: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise NoPlace(f"{kind}/{key}", "it has characters that UTF-8 cannot hold") from error


def _run_meta(run: Run) -> dict[str, Any]:
    """The meta.yaml of a run; `run_uuid` is what MLflow 1 and 2 read."""
    meta = {
        "artifact_uri": run.artifact_uri,
        "entry_point_name": "",
        "experiment_id": run.experiment_id,
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "source_name": "",
        "source_type": _LOCAL,
        "source_version": "",
        "tags": [],
        "user_id": run.user_id,
    }
    if run.status not in _NUMBERS:
        raise Broken(f"status {run.status!a} is not one that MLflow knows")
    changing = {
        "deleted_time": run.deleted_time,
        "end_time": run.end_time,
        "lifecycle_stage": run.lifecycle_stage,
        "run_name": run.name,
        "start_time": run.start_time,
        "status": _NUMBERS[run.status],
    }
    return _without_null(meta | changing)


def _without_null(meta: dict[str, Any]) -> dict[str, Any]:
    """Without the deletion time of a deleted run that is not known: `mlflow gc` takes a null for a number."""
    if meta.get("lifecycle_stage") == DELETED and meta.get("deleted_time") is None:
        meta.pop("deleted_time", None)
    return meta


def _changed(root: str, change: Change, patience: float = 0.0) -> Draft:
    folder = _folder_of(root, change.run_id)
    try:
        draft = Draft(folder, is_new=False, patience=patience)
        try:
            if misfits := [*_put_texts(draft, TAGS, change.all_tags)]:
                raise Broken(str(misfits[0]))
            if new := _new_meta(change):
                draft.put(META, dump(_without_null(read_meta(f"{folder}/{META}") | new)))
        except BaseException:
            draft.drop()
            draft.close()
            raise
    except Broken as error:
        if isinstance(error, Held) and not patience:
            raise
        raise RequestRefused(f"run {change.run_id} cannot be changed: {error}") from error
    return draft


def _new_meta(change: Change) -> dict[str, Any]:
    """What becomes other in meta.yaml."""
    name = {} if change.name is None else {"run_name": change.name}
    if change.lifecycle_stage is None:
        return name
    return name | {"lifecycle_stage": change.lifecycle_stage, "deleted_time": change.deleted_time}


def _folder_of(root: str, run_id: str) -> str:
    folder = find_run(root, run_id)
    if folder is None:
        raise RequestRefused(f"run {run_id} is no longer there", 404, ABSENT)
    return folder


def _experiment_meta(told: Experiment | ExperimentChange) -> dict[str, Any]:
    return {
        "creation_time": told.creation_time,
        "last_update_time": told.last_update_time,
        "lifecycle_stage": told.lifecycle_stage,
        "name": told.name,
    }


def _check_text(name: str) -> None:
    if not is_text(name):
        raise Unfit([Misfit("field", EXPERIMENT_NAME, "it has characters that UTF-8 cannot hold")])


def _check_name(root: str, name: str, its_own: str = "") -> None:
    _check_text(name)
    for other in read_experiments(root).experiments:
        if other.name == name and other.experiment_id != its_own:
            how = ", which is deleted" if other.lifecycle_stage == DELETED else ""
            raise RequestRefused(
                f"there is an experiment {name!r} already ({other.experiment_id}{how})",
                400,
                TAKEN,
            )


def _parent(root: str, stage: str) -> Path:
    """The folder that the folders of experiments of a lifecycle stage lie in."""
    if stage != DELETED:
        return Path(root)
    trash = Path(root, TRASH)
    trash.mkdir(exist_ok=True)
    if trash.is_symlink():
        raise RequestRefused(f"{trash} is a link, and links are not followed: put the folder itself there")
    return trash


def _new_folder(root: str, experiment: Experiment) -> Path:
    parent = _parent(root, experiment.lifecycle_stage)
    name = experiment.experiment_id
    while not is_experiment_id(name) or name == MODELS or not _is_free(root, name):
        # As FileStore makes them: 18 digits, the first of which is no zero.
        name = str(10**17 + uuid.uuid4().int % (9 * 10**17))
    folder = parent / name
    folder.mkdir(exist_ok=True)
    return folder


def _is_free(root: str, experiment_id: str) -> bool:
    """Whether there is nothing of that name, or only what a killed import left of an experiment."""
    for path in (f"{root}/{experiment_id}", f"{root}/{TRASH}/{experiment_id}"):
        if Path(path).is_symlink() or Path(path).is_file():
            return False
        if any(entry.name not in (TAGS, _STAGED) for entry in entries_of(path)):
            return False
    return True


def _files_of_tags(tags: Mapping[str, str]) -> dict[str, bytes]:
    """Raises Unfit, also for a tag below another one: those come after it."""
    files: dict[str, bytes] = {}
    misfits = []
    for key, value in sorted(tags.items()):
        try:
            path, data = key_path(TAGS, key), _encoded(value, TAGS, key)
        except Broken as error:
            misfits.append(Misfit("tag", key, why_no_place(error)))
            continue
        if any(str(above) in files for above in PurePosixPath(path).parents):
            misfits.append(Misfit("tag", key, _ABOVE))
        files[path] = data
    if misfits:
        raise Unfit(misfits)
    return files


def _dumped(meta: Mapping[str, Any]) -> bytes:
    try:
        return dump({name: value for name, value in meta.items() if value is not None})
    except Broken as error:
        raise RequestRefused(f"an experiment cannot be kept: {error}") from error


def _put_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files of an experiment, in this order, below no links."""
    for name, data in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.resolve() != path.parent:
                raise RequestRefused(f"{path.parent} is a link, and links are not followed")
            replace_file(path, data, folder / _STAGED)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Unfit([Misfit("tag", name.removeprefix(f"{TAGS}/"), _ABOVE)]) from None


def _no_experiment(experiment_id: str) -> RequestRefused:
    return RequestRefused(f"experiment {experiment_id} is not there", 404, ABSENT)
