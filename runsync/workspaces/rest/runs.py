"""Writing one run into a target server: record, history, and at last the mark that it is whole."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from runsync.errors import RequestRefused, TooMuch
from runsync.model.experiment import DELETED
from runsync.model.identity import CLAIMED, COMPLETE, COPY, DUPLICATE_OF, ORIGIN, SESSION, origin_of
from runsync.model.provenance import key_of, originals
from runsync.model.run import RUNNING, Run
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.arrival.present import LONGEST_PARAM
from runsync.workspaces.http import DIVISIBLE, NEEDED, Care, Client, Portion
from runsync.workspaces.http.fields import identifier, listed, part, text
from runsync.workspaces.rest import fits, wire
from runsync.workspaces.rest.collisions import Send, is_untagged, post, post_to_deleted
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.equal_keys import is_of_equal_keys, post_soon
from runsync.workspaces.rest.refused import DATASETS, METRICS, PARAMS, TAGS, Body, Refused
from runsync.workspaces.rest.server import API

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_TAG = 8000
"""Characters. Servers cut longer values short and answer 200 (MLFLOW_TRUNCATE_LONG_VALUES): they are not sent."""
LONGEST_BODY = 900_000
"""Bytes of one log-batch; the documented limit is 1 MB."""
BATCH_TOTAL = 1000
BATCH_PARAMS = 100
BATCH_TAGS = 100


class RunWriter:
    """Writes runs into one server. Tags longer than others, up to `longest_tag` characters, are set one by one."""

    def __init__(
        self, client: Client, session: str, most_params: int | None = None, longest_tag: int = LONGEST_TAG
    ) -> None:
        self.came_from = ""
        """The address of the workspace that the runs come from."""
        self._client = client
        self._session = session
        self._most_params = most_params
        self._longest_tag = longest_tag
        self._has_one_case = False
        """Whether the server's database takes the keys of some tags for one."""
        self._portion = Portion(BATCH_TOTAL, "entry", "log-batch requests of {}")

    @property
    def notes(self) -> list[str]:
        """That less was sent at a time than usual."""
        return self._portion.notes

    def create(self, run: Run, experiment_id: str, tags: Mapping[str, str]) -> tuple[str, str]:
        """Makes the run with all its tags in one request; gives its id and artifact root.

        The tag that names its origin is part of the request, so a run whose answer was lost is found by it.
        """
        marked = {**tags, **originals(run), SESSION: self._session}
        if run.name:
            marked["mlflow.runName"] = run.name
        body = {
            "experiment_id": experiment_id,
            "user_id": run.user_id,
            "start_time": run.start_time or 0,
            "run_name": run.name,
            "tags": wire.entries(marked),
        }
        made: dict[str, str] = {}

        def create() -> str:
            info = part(part(self._client.post(f"{API}/runs/create", body, retry=False), "run"), "info")
            run_id = text(info, "run_id", "") or identifier(info, "run_uuid")
            made[run_id] = text(info, "artifact_uri", "")
            return run_id

        def find() -> str | None:
            condition = f"tags.`{ORIGIN}` = '{origin_of(run)}' AND tags.`{SESSION}` = '{self._session}'"
            search = {"experiment_ids": [experiment_id], "filter": condition, "run_view_type": "ALL"}
            found = [wire.run(r) for r in listed(self._client.post(f"{API}/runs/search", search), "runs")]
            made.update((r.run_id, r.artifact_uri) for r in found)
            return found[0].run_id if found else None

        run_id = create_once(self._client, create, find)
        return run_id, made[run_id]

    def touch(self, copy: Copy) -> None:
        """Goes before whatever is written to a copy: makes a deleted run writable; `finish` deletes it again."""
        if not copy.is_touched and copy.present is not None and copy.present.lifecycle_stage == DELETED:
            post(self._client, "runs/restore", {"run_id": copy.target_id})
        copy.is_touched = True

    def write(self, copy: Copy, path: str, body: Mapping[str, Any], care: Care = NEEDED, send: Send = post) -> None:
        """Posts something to a copy, whether it is deleted or not. Raises RequestRefused."""
        self.touch(copy)
        self._post(path, body, copy.target_id, copy.run.lifecycle_stage == DELETED, care, send)

    def _write_in_pieces(self, copy: Copy, path: str, body: Body, refused: Refused) -> None:
        """As much of lists at a time as the server takes, but for what it refuses."""
        body = refused.left_out(body)
        count = sum(map(len, body.values()))
        if count > self._portion.size:
            for piece in _pieces(body, self._portion.size):
                self._write_in_pieces(copy, path, piece, refused)
        elif count:
            self._write_piece(copy, path, body, count, refused)

    def _write_piece(self, copy: Copy, path: str, body: Body, count: int, refused: Refused) -> None:
        try:
            self.write(copy, path, body, DIVISIBLE if count > 1 else NEEDED)
        except TooMuch as error:
            if count <= 1:
                raise
            self._portion.failed(count, error)
            self._write_in_pieces(copy, path, body, refused)
        except RequestRefused as error:
            for part in refused.divided(body, error):
                self._write_in_pieces(copy, path, part, refused)
        else:
            self._portion.worked(count)
            refused.took(body)

    def _write_other(self, copy: Copy, body: Body, refused: Refused) -> None:
        """Entries of one key, which may be one with another to the server's database. Of tags it takes its time to say
        so: then no run gets any more of those."""
        if TAGS in body and self._has_one_case:
            refused.refuse_equal(body)
            return
        try:
            self.write(copy, "runs/log-batch", body, send=post_soon)
        except RequestRefused as error:
            if is_of_equal_keys(error):
                self._has_one_case |= TAGS in body
                refused.refuse_equal(body)
            else:
                self._write_in_pieces(copy, "runs/log-batch", body, refused)
        else:
            refused.took(body)

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        run_id: str,
        ends_deleted: bool,
        care: Care = NEEDED,
        send: Send = post,
    ) -> None:
        body = {"run_id": run_id, **body}
        if ends_deleted:
            post_to_deleted(self._client, path, body, run_id, care, send)
        else:
            send(self._client, path, body, care)

    def log(self, copy: Copy, tags: Mapping[str, str], history: "Iterable[pa.RecordBatch]") -> None:
        """Params, tags and points that are not there yet, in as few requests as the limits allow."""
        params = self._missing_params(copy)
        tags = {k: value for k, value in tags.items() if not self._too_long(copy, "tag", k, value, self._longest_tag)}
        for key in [key for key, value in tags.items() if len(value) > LONGEST_TAG]:
            self._tag_alone(copy, key, tags.pop(key))
        refused = Refused(copy)
        for body in _bodies(copy, params, tags, history):
            sure, others = refused.parted(body)
            self._write_in_pieces(copy, "runs/log-batch", sure, refused)
            for one in others:
                self._write_other(copy, one, refused)
        refused.tell()

    def foresee(self, copy: Copy, tags: Mapping[str, str], knows_limits: bool) -> None:
        """Notes what of a run would not be sent, or refused where the server's limits are known."""
        there = copy.present.tags if copy.present is not None else tags  # a new run is made with all, as they are
        tags = {key: value for key, value in tags.items() if there.get(key) != value}
        for key, value in tags.items():
            self._too_long(copy, "tag", key, value, self._longest_tag)
        params = self._missing_params(copy)
        for problem in fits.misfits(copy.run, params, tags) if knows_limits else ():
            copy.note(problem)

    def log_inputs(self, copy: Copy) -> None:
        """Dataset inputs; the server knows those it has."""
        there = {(d.name, d.digest) for d in copy.present.dataset_inputs} if copy.present else set()
        datasets = [d for d in copy.run.dataset_inputs if (d.name, d.digest) not in there]
        if datasets:
            refused = Refused(copy)
            self._write_in_pieces(copy, "runs/log-inputs", {DATASETS: [wire.dataset(d) for d in datasets]}, refused)
            refused.tell()

    def finish(self, copy: Copy) -> None:
        """Status, end time and name; then the mark that the copy is whole; at last the lifecycle stage."""
        run, present = copy.run, copy.present
        body: dict[str, Any] = {"status": run.status}
        if run.end_time is not None:
            body["end_time"] = run.end_time
        if run.name:
            body["run_name"] = run.name
        if present is not None and present.lifecycle_stage != run.lifecycle_stage:
            self.touch(copy)
        fresh = present is None and run.status == RUNNING and run.end_time is None
        same = present is not None and (present.status, present.end_time, present.name) == (
            run.status,
            run.end_time,
            run.name or present.name,
        )
        if not fresh and not same:
            self.write(copy, "runs/update", body)
        if not copy.problems and copy.there.complete != str(copy.mark):
            self._mark(copy)
        if run.lifecycle_stage == DELETED and (present is None or copy.is_touched):
            self.delete(copy.target_id)

    def _mark(self, copy: Copy) -> None:
        """That it is whole. A run that was brought straight into the server's database has one tag for all."""
        if copy.present is not None and COPY in copy.present.tags:
            told = replace(copy.there, complete=str(copy.mark), came_from=key_of(self.came_from))
            self.tag(copy, COPY, str(told))
        else:
            self.tag(copy, COMPLETE, str(copy.mark))

    def tag(self, copy: Copy, key: str, value: str) -> None:
        """Sets one tag of a copy."""
        self.write(copy, "runs/set-tag", {"key": key, "value": value})

    def _tag_alone(self, copy: Copy, key: str, value: str) -> None:
        try:
            self.tag(copy, key, value)
        except RequestRefused as error:
            copy.miss("tag", key, error)

    def delete(self, run_id: str) -> None:
        """Marks a run as deleted; MLflow keeps it until its administrator purges it."""
        post(self._client, "runs/delete", {"run_id": run_id})

    def relink(self, run_id: str, links: Mapping[str, str], is_deleted: bool) -> None:
        """Changes link tags of a finished run, which stays deleted when it is."""
        if is_deleted:
            post(self._client, "runs/restore", {"run_id": run_id})
        for tag, value in links.items():
            self._post("runs/set-tag", {"key": tag, "value": value}, run_id, is_deleted)
        if is_deleted:
            self.delete(run_id)

    def made(self, run: Run) -> bool:
        """Whether this import made it."""
        return run.tags.get(SESSION, "").removesuffix(CLAIMED) == self._session

    def discard(self, run_id: str, instead: str) -> None:
        """Takes back a run that another import made at the same time: it no longer counts as a copy, and is deleted."""
        # The other import may have deleted it with its experiment, and deleted runs take no tags.
        post(self._client, "runs/restore", {"run_id": run_id})
        self._post("runs/set-tag", {"key": DUPLICATE_OF, "value": instead}, run_id, ends_deleted=True)
        try:
            self._post("runs/delete-tag", {"key": ORIGIN}, run_id, ends_deleted=True)
        except RequestRefused as error:
            if not is_untagged(error):  # of three imports two may take back the same run
                raise
        self.delete(run_id)

    def _missing_params(self, copy: Copy) -> dict[str, str]:
        there = copy.present.params if copy.present else {}
        missing: dict[str, str] = {}
        for key, value in copy.run.params.items():
            if self._too_long(copy, "param", key, value, LONGEST_PARAM) or there.get(key) == value:
                continue
            if key in there:
                copy.miss("param", key, "it has another value in the target, and MLflow does not let params change")
            elif self._most_params is not None and len(there) + len(missing) >= self._most_params:
                copy.miss("param", key, f"the target takes {self._most_params} params a run")
            else:
                missing[key] = value
        return missing

    def _too_long(self, copy: Copy, kind: str, key: str, value: str, longest: int) -> bool:
        if len(value) <= longest:
            return False
        copy.miss(kind, key, f"it has {len(value)} characters, and the target takes {longest}")
        return True


def _bodies(
    copy: Copy, params: Mapping[str, str], tags: Mapping[str, str], history: "Iterable[pa.RecordBatch]"
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """log-batch bodies: params first, filled up with tags and points to the limits."""
    from runsync.model.points import log_batch_rows

    waiting_params, waiting_tags = wire.entries(params), wire.entries(tags)
    rows: list[dict[str, Any]] = []

    def full() -> Iterator[dict[str, list[dict[str, Any]]]]:
        nonlocal waiting_params, waiting_tags, rows
        some_params = _within(waiting_params[:BATCH_PARAMS], LONGEST_BODY // 2)
        some_tags = _within(waiting_tags[:BATCH_TAGS], LONGEST_BODY // 3)
        room = BATCH_TOTAL - len(some_params) - len(some_tags)
        some_rows = rows[:room]
        waiting_params, waiting_tags = waiting_params[len(some_params) :], waiting_tags[len(some_tags) :]
        rows = rows[room:]
        copy.points += len(some_rows)
        yield {PARAMS: list(some_params), TAGS: list(some_tags), METRICS: some_rows}

    for points in history:
        for start in range(0, len(points), BATCH_TOTAL):
            rows += log_batch_rows(points.slice(start, BATCH_TOTAL))
            while len(rows) >= BATCH_TOTAL:
                yield from full()
    while rows or waiting_params or waiting_tags:
        yield from full()


def _pieces(body: Body, size: int) -> Iterator[dict[str, list[Any]]]:
    """Bodies of so many entries, of whatever lists."""
    entries = [(name, entry) for name, of in body.items() for entry in of]
    for start in range(0, len(entries), size):
        piece: dict[str, list[Any]] = {name: [] for name in body}
        for name, entry in entries[start : start + size]:
            piece[name].append(entry)
        yield piece


def _within(entries: Sequence[dict[str, str]], most_bytes: int) -> Sequence[dict[str, str]]:
    """As many of the entries as fit, one at least."""
    taken = 0
    for number, entry in enumerate(entries):
        taken += len(orjson.dumps(entry))
        if taken > most_bytes and number:
            return entries[:number]
    return entries
