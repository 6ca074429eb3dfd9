"""A source of plain Python data with registered models, whose versions have files in a run, in a logged model, and of
their own."""

from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel, ModelMetric
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.testing.memory import MemorySource, small_source
from runsync.testing.memory_kinds import MemoryModels

WEIGHTS = b"weights" * 100
FILES = {"MLmodel": b"flavors: {}\n", "model.bin": WEIGHTS}
"""Of the first version of `churn`; the other has the second of them."""


def source_with_models(model_id: str = "m-1", auc: float = float("nan")) -> MemorySource:
    """A model of the first run with two versions, the second of which has files of its own."""
    return with_models(small_source(), model_id, auc)


def with_models(source: MemorySource, model_id: str = "m-1", auc: float = float("nan")) -> MemorySource:
    """The small source, or one with more in it, with models; `auc` is what was measured on one."""
    metric = ModelMetric("auc", auc, 5, 0, "first", "iris", "abc")
    logged = LoggedModel(model_id, "1", "net", "pytorch", "first", params={"depth": "3"}, metrics=(metric,))
    failed = LoggedModel("m-2", "2", status="FAILED")
    home = Home(LOGGED_MODELS.name, model_id)
    versions = [
        ModelVersion("churn", 1, f"models:/{model_id}", home, "first", tags={"ok": "yes"}),
        ModelVersion("churn", 12, "s3://old/place", description="by hand"),
        ModelVersion("other", 1, "runs:/third/model", Home("runs", "third", "model"), "third"),
    ]
    source.models = {
        LOGGED_MODELS.name: MemoryModels(LOGGED_MODELS, [logged, failed], {(model_id,): FILES}),
        REGISTERED_MODELS.name: MemoryModels(REGISTERED_MODELS, [RegisteredModel("churn"), RegisteredModel("other")]),
        MODEL_VERSIONS.name: MemoryModels(MODEL_VERSIONS, versions, {versions[1].key: {"model.bin": WEIGHTS}}),
        MODEL_ALIASES.name: MemoryModels(MODEL_ALIASES, [ModelAlias("churn", "champion", 12)]),
    }
    return source
