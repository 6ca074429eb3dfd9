"""The registered models or prompts of a workspace or bundle, and which version of one a text means: `churn`, `churn/3`,
`churn@champion`, each also behind `models:/` or `prompts:/`."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from runsync.contract.source import Source
from runsync.errors import NothingSelected, WrongUsage
from runsync.kinds.kind import E, Kind
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.kinds.scope import Scope
from runsync.model.nearest import nearest

SCHEME = "models:/"


class Registry:
    """Reads each kind of one sort at most once. Raises BundleDamaged, RequestRefused."""

    def __init__(self, source: Source, sort: Sort = OF_MODELS) -> None:
        self._source = source
        self._sort = sort
        self._noun = sort.models.noun

    @property
    def is_known(self) -> bool:
        """Whether the source has a model registry."""
        return self._source.entities(self._sort.models) is not None

    @cached_property
    def models(self) -> dict[str, RegisteredModel]:
        """By name, sorted."""
        return {model.name: model for model in sorted(self._all(self._sort.models), key=lambda m: m.key)}

    @cached_property
    def versions(self) -> dict[str, list[ModelVersion]]:
        """By the name of the model, in the order of their numbers."""
        found = defaultdict(list)
        for version in sorted(self._all(self._sort.versions), key=lambda v: v.key):
            found[version.model].append(version)
        return dict(found)

    @cached_property
    def aliases(self) -> dict[str, dict[str, int]]:
        """Numbers of versions by the name of the model and the alias, sorted."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for alias in sorted(self._all(self._sort.aliases), key=lambda a: a.key):
            found[alias.model][alias.alias] = alias.version
        return dict(found)

    def aliases_of(self, version: ModelVersion) -> tuple[str, ...]:
        """Those that name a version."""
        return tuple(a for a, number in self.aliases.get(version.model, {}).items() if number == version.version)

    def model(self, name: str) -> RegisteredModel:
        """The model of that name. Raises NothingSelected."""
        if name not in self.models:
            raise NothingSelected(f"there is no {self._noun} “{name}”{_hint(name, list(self.models))}")
        return self.models[name]

    def meant(self, text: str) -> list[ModelVersion]:
        """All versions of NAME, or the one of NAME/VERSION or NAME@ALIAS. Raises NothingSelected."""
        name, alias, number = parted(text)
        versions = self.versions.get(name, [])
        if not versions:
            raise NothingSelected(
                f"there is no {self._noun} “{name}” with a version{_hint(name, sorted(self.versions))}"
            )
        if alias:
            aliases = self.aliases.get(name, {})
            if alias not in aliases:
                raise NothingSelected(f"{self._noun} “{name}” has no alias “{alias}”{_hint(alias, list(aliases))}")
            number = str(aliases[alias])
        found = [version for version in versions if number in ("", str(version.version))]
        if not found:
            raise NothingSelected(f"{self._noun} “{name}” has no version {number}")
        return found

    def version(self, text: str) -> ModelVersion:
        """The one of NAME/VERSION or NAME@ALIAS; of NAME the newest. Raises NothingSelected."""
        return self.meant(text)[-1]

    def _all(self, kind: Kind[E]) -> list[E]:
        side = self._source.entities(kind)
        return [] if side is None else list(side.list(Scope(everything=True)))


def registry_of(source: Source, sort: Sort = OF_MODELS) -> Registry:
    """Raises WrongUsage where there is none that is read."""
    registry = Registry(source, sort)
    if not registry.is_known:
        raise WrongUsage(f"{sort.models.category.title} are not read from {source.place.address} ({source.place.kind})")
    return registry


def parted(text: str) -> tuple[str, str, str]:
    """Name, alias and number of NAME[/VERSION|@ALIAS]; "" for what is not given."""
    name, at, alias = text.removeprefix(SCHEME).removeprefix("prompts:/").partition("@")
    if at or "/" not in name:
        return name, alias, ""
    name, _, number = name.rpartition("/")
    return name, "", number


def _hint(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f": did you mean “{near}”?" if near else f": there are {', '.join(known[:5])}" if known else ""
