"""What doctor tells of a file store itself."""

import getpass
from collections.abc import Iterator
from pathlib import Path

from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.finding import Finding, ok, warning
from runsync.workspaces.direct.models import ModelStore

NAMED = 5


def examine(root: Path, models: ModelStore) -> Iterator[Finding]:
    """See `DirectStore.examine`."""
    yield ok("store", "a file store; MLflow 3.13 and newer open it only with MLFLOW_ALLOW_FILE_STORE=true")
    try:
        owner = f"; the folder is of user “{root.owner()}”"
    except (KeyError, OSError):  # an owner without a name, as in containers and on network shares
        owner = ""
    try:
        user = f"user “{getpass.getuser()}” of this machine"
    except (KeyError, OSError):
        user = "a user of this machine without a name"
    yield ok("identity", user + owner)
    yield from _registry(models)


def _registry(models: ModelStore) -> Iterator[Finding]:
    """What of the model registry is broken: MLflow shows nothing of one then, and fails."""
    for _ in (*models.registered_models(), *models.model_versions(), *models.model_aliases()):
        pass
    kinds = sorted(models.kinds, key=lambda kind: kind != REGISTERED_MODELS.name)
    broken = {name: why for kind in kinds for name, why in models.unreadable(kind).items()}
    if broken:
        names = [f"{name} ({why})" for name, why in broken.items()]
        told = f"{len(broken):,} cannot be read: {', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''}"
        remedy = (
            "mend them or move their folders away: MLflow shows nothing of a registry with one such; transfers take"
        )
        yield warning("model registry", told, f"{remedy} all others, and end with exit code 3")
