"""`--rename` of registered models: which names are theirs, and that all that hangs off a model follows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from runsync.contract.source import Source
from runsync.errors import Ambiguous, NothingSelected, WrongUsage
from runsync.kinds.logged_models import LOGGED_MODELS, OF_VERSIONS, LoggedModel
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.naming import Naming
from runsync.model.selection import Selection
from runsync.transfer.model_names import Renames, with_models


@dataclass
class Listed:
    """A source of some entities."""

    items: Sequence[Any]
    is_exact: bool = False

    def list(self, scope: Scope) -> Iterator[Any]:
        return iter(self.items)

    def complete(self, item: Any) -> Any:
        assert item in self.items
        return item


@dataclass
class Registry:
    """A source with experiments “churn” and “first”, and registered models “churn”, “net” and “served”."""

    def experiments(self, selection: Selection) -> list[Experiment]:
        return [Experiment("1", "churn"), Experiment("2", "first")]

    def entities(self, kind: object) -> Listed | None:
        models = [RegisteredModel(name) for name in ("churn", "net", "served")]
        return Listed(models) if kind is REGISTERED_MODELS else None


def naming(**rename: str) -> Naming:
    names = {old.replace("_", ":"): new for old, new in rename.items()}
    return with_models(cast(Source, Registry()), Selection(), Naming(names))


def test_each_name_is_that_of_an_experiment_or_of_a_model() -> None:
    found = naming(first="second", net="prod.ml.net", model_churn="prod.ml.churn", name_churn="/churn")
    assert found.rename == {"first": "second", "name:churn": "/churn"}
    assert found.models == {"net": "prod.ml.net", "churn": "prod.ml.churn"}
    assert found.model_here("prod.ml.net") == "net"


def test_a_name_that_both_have_must_say_which() -> None:
    with pytest.raises(Ambiguous) as raised:
        naming(churn="x")
    assert raised.value.lines[1:] == ("  --rename name:churn=NEW", "  --rename model:churn=NEW")


def test_a_name_that_nothing_has_and_one_that_is_taken_are_refused() -> None:
    with pytest.raises(NothingSelected, match="neither among the experiments to carry nor a registered model"):
        naming(nat="x")
    with pytest.raises(WrongUsage, match="another registered model is called “served” already"):
        naming(net="served")


def test_the_registrys_tag_of_a_logged_model_follows() -> None:
    tags = {OF_VERSIONS: '[{"name": "churn", "version": 1}, {"name": "net", "version": 2}]', "a": "b"}
    told = LOGGED_MODELS.renamed(LoggedModel("m-1", "1", tags=tags), {"churn": "prod.ml.churn"}).tags
    assert told == {OF_VERSIONS: '[{"name": "prod.ml.churn", "version": 1}, {"name": "net", "version": 2}]', "a": "b"}


def test_versions_follow_and_copies_of_others_name_them_by_the_new_name() -> None:
    home = Home(MODEL_VERSIONS.name, "churn/4")
    versions = [ModelVersion("churn", 4), ModelVersion("served", 1, "models:/churn/4", home)]
    side = Renames({"churn": "prod.ml.churn"}).of(MODEL_VERSIONS, cast(Any, Listed(versions)))
    assert side is not None
    one, copy = side.list(Scope())
    assert (one.name, copy.home.id, copy.source) == ("prod.ml.churn/4", "prod.ml.churn/4", "models:/prod.ml.churn/4")
    assert [side.complete(each) for each in (one, copy)] == [one, copy]
