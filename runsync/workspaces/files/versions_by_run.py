"""The versions of the registered models of a file store, by run."""

from collections.abc import Iterator
from contextlib import suppress

from runsync.kinds.model_versions import NO_STAGE
from runsync.model.run import ModelVersion
from runsync.workspaces.direct.models import DELETED
from runsync.workspaces.files.layout import META, MODELS, Broken
from runsync.workspaces.files.meta import read_meta, text
from runsync.workspaces.files.registry import model_names, numbers, version_folder
from runsync.workspaces.files.strays import Strays


def versions_by_run(root: str) -> dict[str, tuple[ModelVersion, ...]]:
    """The versions of registered models by the run they were made of; what cannot be read is passed over."""
    found: dict[str, list[ModelVersion]] = {}
    with suppress(Broken, OSError):
        for name in model_names(root, Strays(root)):
            for run_id, version in _versions(f"{root}/{MODELS}/{name}"):
                found.setdefault(run_id, []).append(version)
    return {run_id: tuple(sorted(of, key=lambda v: (v.name, v.version))) for run_id, of in found.items()}


def _versions(folder: str) -> Iterator[tuple[str, ModelVersion]]:
    for number in numbers(folder):
        with suppress(Broken, OSError):
            meta = read_meta(f"{version_folder(folder, number)}/{META}")
            stage = text(meta, "current_stage")
            if (run_id := text(meta, "run_id")) and stage != DELETED:
                yield (
                    run_id,
                    ModelVersion(text(meta, "name"), text(meta, "version"), "" if stage == NO_STAGE else stage),
                )
