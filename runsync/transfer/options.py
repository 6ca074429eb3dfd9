"""The options of the verbs that carry or compare, each declared once: Python, the command line and the docs have them
from here.

A verb takes the groups that its own is made of, in the order in which help lists them.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from runsync.kinds.options import OfExport, OfImport, OfVerify
from runsync.model.naming import Naming, parse_renames
from runsync.model.option import Option, group
from runsync.options import Artifacts, DryRun, Reaching, Running, VerifyingStored, WaitingForLock

if TYPE_CHECKING:
    from runsync.transfer.repair import RepairReport

MAX_DELETE = "10%"


@group
class Renaming:
    """Other names: `rename` maps those of experiments and registered models, `prefix` goes before those of all other
    experiments."""

    rename: Annotated[
        Mapping[str, str] | None,
        Option(
            "Rename an experiment (OLD is a name or an id) or a registered model.",
            "OLD=NEW",
            repeatable=True,
            parse=parse_renames,
        ),
    ] = None
    prefix: Annotated[str, Option("Prefix for the names of all other experiments.", "P")] = ""

    @property
    def naming(self) -> Naming:
        """Both."""
        return Naming(dict(self.rename or {}), self.prefix)


@group
class SourceArtifacts:
    """Where the source's files really are; `access.artifacts` says it of the target's."""

    source_artifacts: Annotated[str, Option("The same for the source (--artifacts is for the target).", "URI")] = ""


@group
class NewSnapshot(VerifyingStored):
    """How a snapshot is made."""

    thorough: Annotated[bool, Option("Also read runs that look unchanged since the last snapshot.")] = False
    skip_unchanged: Annotated[bool, Option("Do not make a snapshot if nothing has changed.")] = False


@group
class IntoWorkspace:
    """How a workspace is written. With `verify_artifacts` every uploaded file is read back and compared by hash.
    Without `tags`, copies that keep their ids (in databases and file stores) are compared in full each time. With
    `keep_mlmodel` the bytes of MLmodel files stay where ids change, as those of signed models always do. With `init`
    the tables are made by the mlflow that is installed. The map of `id_map` is in the report too."""

    verify_artifacts: Annotated[bool, Option("Read every uploaded file back and check its hash.")] = False
    restore_deleted: Annotated[bool, Option("If the target has a deleted experiment of the same name, restore it.")] = (
        False
    )
    tags: Annotated[
        bool,
        Option(
            "Databases and file stores: add no runsync.* tags to copies, except for original ids and lost links.",
            flag="--no-tags",
        ),
    ] = True
    keep_mlmodel: Annotated[
        bool,
        Option("Servers: do not put the new ids of runs and logged models into MLmodel files."),
    ] = False
    init: Annotated[bool, Option("Create MLflow's tables in an empty database (uses MLflow 3.14 or newer).")] = False
    id_map: Annotated[str | Path | None, Option("Write a JSON map of old to new ids to FILE.", "FILE")] = None


@group
class Mirroring:
    """What `sync` does about what a target has already."""

    thorough: Annotated[bool, Option("Also compare runs that look unchanged since the last sync.")] = False
    delete: Annotated[bool, Option("Also delete copies of what has been deleted from the source.")] = False
    max_delete: Annotated[
        str,
        Option(
            "Fail, before writing anything, if more than this would be deleted: a percentage of the copies or a number "
            "of runs, likewise of logged models, of traces, and of the model registry.",
            "N",
            shows_default=True,
        ),
    ] = MAX_DELETE


@group
class ComparingBytes:
    """How files are compared."""

    verify_artifacts: Annotated[bool, Option("Compare the bytes of artifacts, not only their sizes.")] = False


@group
class Accepting:
    """Kinds (see `kinds.left_behind`) that may stay behind, beside those that `runsync.toml` has for the places: any
    other that does makes the exit code 3."""

    accept: Annotated[
        Iterable[str],
        Option(
            "Kinds that may be left behind without exit code 3, such as traces,scorers.",
            "KINDS",
            repeatable=True,
        ),
    ] = ()


@group
class AcceptingUncompared:
    """Likewise, kinds that need not be compared."""

    accept: Annotated[
        Iterable[str],
        Option(
            "Kinds that need not be compared for exit code 0, such as traces,scorers.",
            "KINDS",
            repeatable=True,
        ),
    ] = ()


@group
class ExportOptions(Artifacts, NewSnapshot, OfExport, WaitingForLock, Accepting, Running, DryRun):
    """Those of `export`."""


@group
class BundleImportOptions(Renaming, Artifacts, IntoWorkspace, OfImport, WaitingForLock, Accepting, Running, DryRun):
    """Those of `import_`."""


@group
class SyncOptions(Renaming, Artifacts, IntoWorkspace, OfImport, SourceArtifacts, Mirroring, Accepting, Running, DryRun):
    """Those of `sync`."""


@group
class VerifyOptions(Renaming, Artifacts, SourceArtifacts, ComparingBytes, OfVerify, AcceptingUncompared, Running):
    """Those of `verify`."""


@group
class DiffOptions(Artifacts, SourceArtifacts, Running):
    """Those of `diff`."""


@group
class RepairOptions(DryRun, WaitingForLock, Reaching):
    """Those of `repair`. `confirm` is asked before anything is moved."""

    confirm: "Callable[[RepairReport], bool] | None" = None
