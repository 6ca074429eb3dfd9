"""How a model stands in a target: what is there of it, which version its alias names, and whose alias that is."""

from dataclasses import dataclass

from runsync.contract.model_registry import ModelRegistry, Registered
from runsync.contract.workspace import Workspace
from runsync.errors import WorkspaceError, WrongUsage
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registries import OF_MODELS
from runsync.model.finding import FAILURE
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.models.compare import as_one_run
from runsync.promotion.history import History, Record, made_of
from runsync.promotion.wanted import versions_of
from runsync.transfer.model_files import logged_model
from runsync.transfer.registry import Registry


@dataclass(frozen=True, slots=True)
class Standing:
    """`registered` is None where there is no such model. `holder` is what the alias names, None for nothing."""

    workspace: Workspace
    registry: ModelRegistry
    name: str
    alias: str
    registered: Registered | None
    history: History

    @property
    def holder(self) -> int | None:
        """The version that the alias names."""
        return self.registered.aliases.get(self.alias) if self.registered is not None else None

    @property
    def versions(self) -> tuple[ModelVersion, ...]:
        """Those that are there."""
        return self.registered.versions if self.registered is not None else ()

    def made_of(self, model: str, digest: str) -> ModelVersion | None:
        """The version that a promotion of the very same made before: of several the one that the alias names, else the
        first, so that promotions at once settle on the same one."""
        same = made_of(self.versions, model, digest)
        return next((v for v in same if v.version == self.holder), next(iter(same), None))

    @property
    def last(self) -> Record | None:
        """The last move of the alias."""
        return self.history.last(self.alias)

    @property
    def why_not_ours(self) -> str:
        """Why the alias may not be moved; "" where it may: nobody has it, or a promotion set it."""
        last = self.last
        if self.holder is None or (last is not None and self.holder == last.version):
            return ""
        return (
            f"{self.name}@{self.alias} names version {self.holder}, and no promotion set it: look whether it may be "
            "moved, and say --take-over"
        )

    def told_of(self, number: int) -> Run | None:
        """All that is known of a version as one run; None where it is not there."""
        version = next((version for version in self.versions if version.version == number), None)
        if version is None:
            return None
        home = versions_of(Registry(self.workspace), version.name)[-1].home
        logged = logged_model(self.workspace, home.id) if home.kind == LOGGED_MODELS.name else None
        run_id = version.run_id or (logged.source_run_id if logged is not None else "")
        found = self.workspace.batch([run_id], self.workspace.experiments(Selection())).runs if run_id else ()
        return as_one_run(version, next(iter(found), None), logged)

    def require_permission(self) -> None:
        """Raises WorkspaceError, before anything is written, for what the target surely will not permit."""
        is_new = self.registered is None
        of_model = self.registry.examine_new(self.name) if is_new else self.registry.examine_model(self.name)
        for finding in (*self.registry.examine(), *of_model):
            if finding.state == FAILURE:
                raise WorkspaceError(f"{self.workspace.place.address}: {finding.told}; {finding.remedy}")

    def again(self) -> "Standing":
        """As it is now."""
        return look(self.workspace, self.name, self.alias)


def look(workspace: Workspace, name: str, alias: str) -> Standing:
    """Raises WrongUsage where nothing can be promoted, RequestRefused."""
    registry = workspace.registry()
    if registry is None:
        raise WrongUsage(
            f"{workspace.place.address} ({workspace.place.kind}) has no model registry that can be written to"
        )
    registered = registry.read(name)
    if registered is not None and not OF_MODELS.has(registered.model.tags):
        raise WrongUsage(
            f"“{name}” is a {OF_MODELS.other} in {workspace.place.address}: choose another name with --to-model"
        )
    return Standing(workspace, registry, name, alias, registered, History.of(registered))
