"""Label schemas of a server.

A server makes the default one (“Feedback”) of an experiment when they are listed (MLflow 3.17). Nothing is written into
a source: an experiment that has no default one yet is not listed, but for those that review queues name.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.label_schemas import LABEL_SCHEMAS, LabelSchema
from runsync.model.experiment import Experiment
from runsync.model.experiment_marks import marks
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments, active
from runsync.workspaces.rest.leftovers import ONE_BY_ONE

DEFAULT = "Feedback"
PAGE = 1000
UNSEEN = "nobody has looked at those of some experiments yet, and to list them makes one"


@wire.strict
def label_schema(document: Json) -> LabelSchema:
    """One of label-schemas/list. Raises OddAnswer."""
    given = part(document, "input")
    input_type = next(iter(given), "text")
    return LabelSchema(
        schema_id=identifier(document, "schema_id"),
        experiment_id=identifier(document, "experiment_id"),
        name=text(document, "name"),
        type=text(document, "type", "FEEDBACK").lower(),
        instruction=text(document, "instruction", ""),
        enable_comment=bool(document.get("enable_comment")),
        input_type=input_type,
        input=_as_kept(input_type, part(given, input_type)),
        is_default=bool(document.get("is_default")),
        created_by=text(document, "created_by", ""),
        created_at=wire.moment(document, "created_at"),
        updated_at=wire.moment(document, "last_updated_at"),
    )


class ServerLabelSchemas(ServerDocuments[LabelSchema]):
    """See `DocumentStore`. Its type cannot be changed, nor can anything of the default one."""

    def __init__(self, client: Client) -> None:
        super().__init__(LABEL_SCHEMAS, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[LabelSchema]:
        """See `DocumentStore`. A request for each experiment."""
        if not is_asked:
            self.not_sought(ONE_BY_ONE)
            return iter(())
        here = frozenset(active(experiments))
        return self.told(one for each in experiments if each.experiment_id in here for one in self._of(each))

    def find(self, wanted: Sequence[LabelSchema]) -> Iterable[LabelSchema]:
        """See `DocumentStore`. By name, and by id: neither makes the default one."""
        for item in wanted:
            found = self._named(item.experiment_id, item.name)
            yield from (one for one in (found, self._by_id(item.schema_id)) if one is not None)

    def create(self, wanted: LabelSchema) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`. The default one is made by the server."""
        if wanted.is_default:
            return self._make_default(wanted)
        body = {
            "experiment_id": wanted.experiment_id,
            "name": wanted.name,
            "type": wanted.type.upper(),
            "input": {wanted.input_type: _as_sent(wanted)},
            "enable_comment": wanted.enable_comment,
        }
        body |= {"instruction": wanted.instruction} if wanted.instruction else {}
        made = self.send("POST", "label-schemas/create", body, once=True)
        return identifier(part(made, "label_schema"), "schema_id"), ()

    def change(self, wanted: LabelSchema, there: LabelSchema) -> Sequence[Problem]:
        """See `DocumentStore`."""
        body: dict[str, Any] = {"schema_id": there.schema_id}
        for name in ("name", "instruction", "enable_comment"):
            if getattr(wanted, name) != getattr(there, name):
                body[name] = getattr(wanted, name)
        if (wanted.input_type, wanted.input) != (there.input_type, there.input):
            body["input"] = {wanted.input_type: _as_sent(wanted)}
        if len(body) > 1:
            self.send("PATCH", "label-schemas/update", body)
        left = [name for name in ("type", "is_default") if getattr(wanted, name) != getattr(there, name)]
        return [Problem(f"{name} of label schema", wanted.name, "a server does not change it") for name in left]

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        self.send("DELETE", "label-schemas/delete", {"schema_id": id})

    def _make_default(self, wanted: LabelSchema) -> tuple[str, Sequence[Problem]]:
        self.get("label-schemas/list", experiment_id=wanted.experiment_id, max_results=1)
        made = self._named(wanted.experiment_id, DEFAULT)
        if made is None:
            raise RequestRefused(f"the server made no label schema “{DEFAULT}”")
        return made.schema_id, ()

    def _of(self, experiment: Experiment) -> Iterator[LabelSchema]:
        home = experiment.experiment_id
        if self._named(home, DEFAULT) is not None:
            yield from self.each("label_schemas", lambda page: self._page(home, page), label_schema)
            return
        found = {mark.here for mark in marks(experiment, LABEL_SCHEMAS.schema)} | self._of_queues(home)
        yield from (one for id in sorted(found) if (one := self._by_id(id)) is not None)
        self.not_sought(UNSEEN)

    def _of_queues(self, experiment_id: str) -> set[str]:
        """The ids of those that review queues name."""

        def ask(page: Json) -> dict[str, Any]:
            return self.get("review-queues/list", experiment_id=experiment_id, **page)

        return {id for ids in self.each("review_queues", ask, lambda one: one.get("schema_ids") or ()) for id in ids}

    def _page(self, experiment_id: str, page: Json) -> dict[str, Any]:
        return self.get("label-schemas/list", experiment_id=experiment_id, max_results=PAGE, **page)

    def _named(self, experiment_id: str, name: str) -> LabelSchema | None:
        return self._one("label-schemas/get-by-name", experiment_id=experiment_id, name=name)

    def _by_id(self, id: str) -> LabelSchema | None:
        return self._one("label-schemas/get", schema_id=id)

    def _one(self, path: str, **named: str) -> LabelSchema | None:
        try:
            return label_schema(part(self.get(path, **named), "label_schema"))
        except RequestRefused as error:
            if error.code != ABSENT:
                raise
            return None


def _as_kept(input_type: str, given: Json) -> dict[str, Any]:
    """As MLflow has it in its database (`_input_to_dict`): int64 comes as text, and what is not set is null."""
    if input_type == "text":
        most = given.get("max_length")
        return {"max_length": None if most is None else int(most)}
    if input_type == "numeric":
        return {name: given.get(name) for name in ("min_value", "max_value")}
    if input_type == "categorical":
        return {"options": list(given.get("options") or ()), "multi_select": bool(given.get("multi_select"))}
    return dict(given)


def _as_sent(item: LabelSchema) -> dict[str, Any]:
    return {name: value for name, value in item.input.items() if value is not None}
