"""Issues that MLflow found in the traces of an experiment, or that somebody wrote down."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runsync.kinds.document import Document, DocumentKind
from runsync.kinds.kind import Key, Resolve
from runsync.model.selection import RUNS

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange


@dataclass(frozen=True, slots=True)
class Issue(Document):
    """`source_run_id` is the run that found it, "" for none. Times are in epoch milliseconds."""

    issue_id: str
    experiment_id: str
    name: str
    description: str = ""
    status: str = ""
    severity: str = ""
    root_causes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    source_run_id: str = ""
    created_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    origin: str = ""

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.issue_id,)


class _Issues(DocumentKind[Issue]):
    name = "issues"
    noun = "issue"
    entity = Issue
    requires = (RUNS,)
    goes_with_experiments = True
    id_field = "issue_id"
    set_by_servers = ("created_at", "updated_at")

    def place(self, item: Issue) -> Key:
        """Names are not unique: two are the same that say the same."""
        told = (item.experiment_id, item.name, item.description, item.status, item.severity, item.created_by)
        return (*told, item.source_run_id, *item.root_causes, "", *item.categories)

    def rewritten(self, item: Issue, resolve: Resolve) -> Issue | None:
        """A run that is not there stays named by its old id."""
        there = super().rewritten(item, resolve)
        return there and replace(there, source_run_id=resolve(RUNS, item.source_run_id) or item.source_run_id)

    def lacks(self, wanted: Issue, there: Issue) -> Iterator["FieldChange"]:
        """A run that is not in the target is not named in a database."""
        if not there.source_run_id:
            wanted = replace(wanted, source_run_id="")
        yield from super().lacks(wanted, there)


ISSUES = _Issues()
