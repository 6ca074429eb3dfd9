"""Issues of a server."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runsync.errors import RequestRefused
from runsync.kinds.issues import ISSUES, Issue
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, OddAnswer, identifier, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments

PAGE = 1000
BY_EXPERIMENT = 20
"""So many experiments are asked for one by one; of more, all issues of the server are read."""


@wire.strict
def issue(document: Json) -> Issue:
    """One of issues/search. Raises OddAnswer."""
    return Issue(
        issue_id=identifier(document, "issue_id"),
        experiment_id=identifier(document, "experiment_id"),
        name=text(document, "name"),
        description=text(document, "description", ""),
        status=text(document, "status", ""),
        severity=text(document, "severity", ""),
        root_causes=_texts(document, "root_causes"),
        categories=_texts(document, "categories"),
        source_run_id=text(document, "source_run_id", ""),
        created_by=text(document, "created_by", ""),
        created_at=wire.moment(document, "created_timestamp"),
        updated_at=wire.moment(document, "last_updated_timestamp"),
    )


class ServerIssues(ServerDocuments[Issue]):
    """See `DocumentStore`. Of one that is there a server changes its name, description, status and severity."""

    def __init__(self, client: Client) -> None:
        super().__init__(ISSUES, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[Issue]:
        """See `DocumentStore`. One request for all of the server, deleted experiments too."""
        homes = {e.experiment_id for e in experiments}
        return self.told(one for one in self._search() if one.experiment_id in homes)

    def find(self, wanted: Sequence[Issue]) -> Iterable[Issue]:
        """See `DocumentStore`."""
        homes = sorted({item.experiment_id for item in wanted})
        if len(homes) > BY_EXPERIMENT:
            return [one for one in self._search() if one.experiment_id in homes]
        return [one for home in homes for one in self._search(experiment_id=home)]

    def create(self, wanted: Issue) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`. Some databases take no run that is not there."""
        body = {
            "experiment_id": wanted.experiment_id,
            "name": wanted.name,
            "description": wanted.description,
            "status": wanted.status,
            "severity": wanted.severity,
            "root_causes": list(wanted.root_causes),
            "categories": list(wanted.categories),
            "source_run_id": wanted.source_run_id,
            "created_by": wanted.created_by,
        }
        body = {name: value for name, value in body.items() if value or name == "description"}
        try:
            return self._create(body), ()
        except RequestRefused as error:
            if "source_run_id" not in body or error.may_pass:
                raise
            del body["source_run_id"]
            return self._create(body), [Problem("run of issue", wanted.name, str(error))]

    def change(self, wanted: Issue, there: Issue) -> Sequence[Problem]:
        """See `DocumentStore`."""
        settable = {name: getattr(wanted, name) for name in ("name", "description", "status", "severity")}
        changed = {name: value for name, value in settable.items() if value and value != getattr(there, name)}
        if changed:
            self.send("PATCH", f"issues/{there.issue_id}", {"issue_id": there.issue_id, **changed})
        lacking = [change.field for change in ISSUES.lacks(wanted, there) if change.field not in changed]
        return [Problem(f"{field} of issue", wanted.name, "a server does not change it") for field in lacking]

    def delete(self, experiment_id: str, id: str) -> None:
        """Raises RequestRefused: MLflow deletes none."""
        raise RequestRefused("MLflow has no way to delete an issue")

    def _create(self, body: Json) -> str:
        return identifier(part(self.send("POST", "issues", body, once=True), "issue"), "issue_id")

    def _search(self, **where: str) -> Iterator[Issue]:
        def ask(page: Json) -> dict[str, Any]:
            return self.post("issues/search", {**where, "max_results": PAGE, **page})

        return self.each("issues", ask, issue)


def _texts(document: Json, name: str) -> tuple[str, ...]:
    found = document.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise OddAnswer(name, "is not a list of strings")
    return tuple(found)
