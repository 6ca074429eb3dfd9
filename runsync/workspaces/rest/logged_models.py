"""Logged models of a server as a source, with their files."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from runsync.contract.entities import OneByOne
from runsync.errors import ITEM_ERRORS, RequestRefused
from runsync.kinds.logged_models import FAILED, LOGGED_MODELS, PENDING, READY, LoggedModel, ModelMetric
from runsync.kinds.scope import Scope
from runsync.model import numbers
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import ODD, Json, OddAnswer, identifier, listed, number, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.artifacts import Artifacts, Root
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.listing import Listing
from runsync.workspaces.rest.metrics import MetricReader
from runsync.workspaces.rest.search import chunks
from runsync.workspaces.rest.server import API

STATUSES = {
    "LOGGED_MODEL_PENDING": PENDING,
    "LOGGED_MODEL_READY": READY,
    "LOGGED_MODEL_UPLOAD_FAILED": FAILED,
}


@wire.strict
def logged_model(document: Json) -> LoggedModel:
    """A model of logged-models/search or get. NaN reads as 0 there. Raises OddAnswer."""
    info, data = part(document, "info"), part(document, "data")
    return LoggedModel(
        model_id=identifier(info, "model_id"),
        experiment_id=identifier(info, "experiment_id"),
        name=text(info, "name", ""),
        model_type=text(info, "model_type", ""),
        source_run_id=text(info, "source_run_id", ""),
        status=STATUSES[wire.one_of(STATUSES, info, "status", "LOGGED_MODEL_PENDING")],
        status_message=text(info, "status_message", ""),
        created_at=wire.moment(info, "creation_timestamp_ms"),
        updated_at=wire.moment(info, "last_updated_timestamp_ms"),
        params=wire.pairs(data, "params"),
        tags=wire.pairs(info, "tags"),
        metrics=tuple(sorted(map(_metric, listed(data, "metrics")), key=lambda m: m.place)),
    )


def _metric(document: Json) -> ModelMetric:
    try:
        value = numbers.from_json(document.get("value", 0.0))
    except ODD:
        raise OddAnswer(f"metrics.{document.get('key')}"[:60], "has an invalid point") from None
    return ModelMetric(
        key=text(document, "key"),
        value=value,
        timestamp=number(document, "timestamp"),
        step=number(document, "step"),
        run_id=text(document, "run_id", ""),
        dataset_name=text(document, "dataset_name", ""),
        dataset_digest=text(document, "dataset_digest", ""),
    )


class LoggedModelSource(OneByOne):
    """See `EntitySource`: those of the experiments, and what runs name beside them."""

    is_exact = False

    def __init__(self, client: Client, store: Artifacts, metrics: MetricReader, habits: Habits) -> None:
        self.experiments_a_search = habits.experiments_a_search
        self._client = client
        self._store = store
        self._metrics = metrics
        self._listing = Listing(
            client, LOGGED_MODELS, habits.models_page, lambda found: str(part(found, "info").get("model_id"))
        )
        self._roots: dict[str, str] = {}

    def list(self, scope: Scope) -> Iterator[LoggedModel]:
        """See `EntitySource`."""
        met = set()
        for ids in chunks([e.experiment_id for e in scope.experiments], self.experiments_a_search):
            for found in self.of_experiments(ids):
                met.add(found.model_id)
                if LOGGED_MODELS.meant(found, scope) is not None:
                    yield self._with_nan(found)
        for model_id in sorted(scope.named(LOGGED_MODELS.name) - met) if scope.is_narrow else ():
            try:
                yield self._with_nan(self.get(model_id))
            except RequestRefused as error:
                if not is_unknown(error):
                    raise

    def of_experiments(self, ids: Sequence[str]) -> Iterator[LoggedModel]:
        """Those of some experiments, with zeros in place of NaN."""

        def send(care: Care, most: Json) -> dict[str, Any]:
            return self._client.post(f"{API}/logged-models/search", {"experiment_ids": ids, **most}, care=care)

        return self._listing.each("models", send, self.told)

    def get(self, model_id: str) -> LoggedModel:
        """One of them, likewise. Raises RequestRefused."""
        return self.told(part(self._client.get(f"{API}/logged-models/{plain(model_id)}"), "model"))

    def has(self, model_id: str) -> bool:
        """Whether it is there, or may be and is not shown to us."""
        if model_id in self._roots:
            return True
        try:
            self.get(model_id)
        except RequestRefused as error:
            return not is_unknown(error)
        return True

    def root(self, model_id: str) -> Root:
        """The artifact root of a model that was listed."""
        return Root(model_id, self._roots[model_id])

    def complete(self, item: LoggedModel) -> LoggedModel:
        """With its files. Raises RequestRefused."""
        return replace(item, artifacts=self._store.list(self.root(item.model_id)))

    def read(self, item: LoggedModel) -> tuple[LoggedModel, Iterator[bytes]]:
        """It has files."""
        return item, iter(())

    def read_file(self, item: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        file.check()
        return self._store.read(self.root(item.model_id), file)

    @property
    def lacks_kind(self) -> bool:
        """See `MayLackTheKind`."""
        return self._listing.lacks_kind

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell."""
        return self._listing.left()

    def told(self, document: Json) -> LoggedModel:
        """One as an answer tells it; where its files lie is kept in mind. Raises OddAnswer."""
        found = logged_model(document)
        plain(found.model_id)
        self._roots[found.model_id] = text(part(document, "info"), "artifact_uri", "")
        return found

    def _with_nan(self, item: LoggedModel) -> LoggedModel:
        """A zero may be one: the history of the run tells."""
        doubtful = {(m.run_id, m.key) for m in item.metrics if m.value == 0}
        if not doubtful:
            return item
        nan = {(run_id, key): self._nan_of(run_id, key) for run_id, key in doubtful}
        metrics = (
            replace(m, value=float("nan")) if m.value == 0 and (m.timestamp, m.step) in nan[m.run_id, m.key] else m
            for m in item.metrics
        )
        return replace(item, metrics=tuple(metrics))

    def _nan_of(self, run_id: str, key: str) -> set[tuple[int, int]]:
        """Times and steps at which the history of a run has NaN and no other value; none where it is not told."""
        values: dict[tuple[int, int], set[bool]] = {}
        try:
            for points in self._metrics.pages(run_id, key):
                columns = (points.column(name).to_pylist() for name in ("timestamp", "step", "value"))
                for timestamp, step, value in zip(*columns, strict=True):
                    values.setdefault((timestamp, step), set()).add(value != value)
        except ITEM_ERRORS:
            return set()
        return {place for place, are_nan in values.items() if are_nan == {True}}


def _id(document: Json) -> str:
    return str(part(document, "info").get("model_id"))


def plain(model_id: str) -> str:
    """The id, which stands in the path of a request. Raises RequestRefused for one that cannot."""
    if not model_id.replace("-", "").isalnum():
        raise OddAnswer("model_id", "has characters that no id has")
    return model_id
