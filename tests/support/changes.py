"""What the tests of changes share: a family of runs, and how runs and experiments are."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from runsync.bundle import schemas
from runsync.runs.change import ChangeReport
from support.seed import Seeder


class Family(NamedTuple):
    """`parent` has two children, one in another experiment; that one's child has a child of its own."""

    home: str
    abroad: str
    parent: str
    child: str
    child_abroad: str
    grandchild: str
    deepest: str
    stranger: str

    @property
    def runs(self) -> list[str]:
        """All but the stranger."""
        return [self.parent, self.child, self.child_abroad, self.grandchild, self.deepest]


def seed_family(seeder: Seeder, prefix: str) -> Family:
    """Nested at depth 3, in two experiments."""
    home, abroad = seeder.create_experiment(prefix + "home"), seeder.create_experiment(prefix + "abroad")
    parent = seeder.create_run(home, "parent")
    child = nested(seeder, home, parent, "child")
    child_abroad = nested(seeder, abroad, parent, "child abroad")
    grandchild = nested(seeder, home, child_abroad, "grandchild")
    deepest = nested(seeder, abroad, grandchild, "deepest")
    stranger = seeder.create_run(home, "stranger")
    return Family(home, abroad, parent, child, child_abroad, grandchild, deepest, stranger)


def nested(seeder: Seeder, experiment_id: str, parent: str, name: str) -> str:
    """A child of a run."""
    return seeder.create_run(experiment_id, name, tags={"mlflow.parentRunId": parent})


def stage(seeder: Seeder, run_id: str) -> str:
    """active or deleted."""
    return str(seeder.get_run(run_id)["info"]["lifecycle_stage"])


def stages(seeder: Seeder, run_ids: Iterable[str]) -> list[str]:
    """Of each."""
    return [stage(seeder, run_id) for run_id in run_ids]


def tags(seeder: Seeder, run_id: str) -> dict[str, str]:
    """A run's tags."""
    return {tag["key"]: tag["value"] for tag in seeder.get_run(run_id)["data"].get("tags", [])}


def experiment(seeder: Seeder, experiment_id: str) -> dict[str, Any]:
    """As the server tells it."""
    found: dict[str, Any] = seeder.call("GET", "experiments/get", experiment_id=experiment_id)["experiment"]
    return found


def valid(report: ChangeReport) -> ChangeReport:
    """A report whose document is as its schema has it."""
    schemas.check("change-report", report.to_document(), "report")
    return report
