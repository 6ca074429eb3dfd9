"""Links of runs to logged models, set once both are in the target."""

import json

from runsync.kinds.left_behind import MODEL_LINKS
from runsync.model.identity import MODELS_ELSEWHERE
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.run import ModelLink, Run
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import part
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.logged_model_target import LoggedModelTarget
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.server import API


class ModelLinks:
    """`models` are those of this import."""

    def __init__(self, client: Client, writer: RunWriter, models: LoggedModelTarget) -> None:
        self._lost: list[str] = []
        """The models that runs link to and that are nowhere in the target, once for each link."""
        self._client = client
        self._writer = writer
        self._models = models

    def are_new(self, copy: Copy) -> bool:
        """Whether any model that a run links to came only now."""
        links = (*copy.run.model_inputs, *copy.run.model_outputs)
        return any(link.model_id in self._models.made for link in links)

    def set(self, copy: Copy) -> None:
        """Sets those that a copy lacks. Raises RequestRefused."""
        run = copy.run
        if not run.model_inputs and not run.model_outputs:
            return
        there = self._read(copy) if copy.present is not None else None
        inputs, lost_inputs = self._split(run.model_inputs, there.model_inputs if there else ())
        outputs, lost_outputs = self._split(run.model_outputs, there.model_outputs if there else ())
        if inputs:
            self._writer.write(copy, "runs/log-inputs", {"models": [{"model_id": id} for id, _ in inputs]})
        if outputs:
            self._writer.touch(copy)
            self._set_outputs(copy, outputs)
        if lost_inputs or lost_outputs:
            self._keep(copy, {"inputs": lost_inputs, "outputs": lost_outputs})

    def _read(self, copy: Copy) -> Run:
        return wire.run(part(self._client.get(f"{API}/runs/get", run_id=copy.target_id), "run"))

    def _set_outputs(self, copy: Copy, outputs: list[tuple[str, int]]) -> None:
        """An output that is there already is refused, and those with it."""
        models = [{"model_id": id, "step": step} for id, step in outputs]

        def create() -> str:
            body = {"run_id": copy.target_id, "models": models}
            self._client.post(f"{API}/runs/outputs", body, retry=False)
            return copy.target_id

        def find() -> str | None:
            there = {link.model_id for link in self._read(copy).model_outputs}
            return copy.target_id if there.issuperset(id for id, _ in outputs) else None

        create_once(self._client, create, find)

    def left(self) -> list[NotCarried]:
        """Those whose models are nowhere in the target."""
        if not self._lost:
            return []
        why = f"the models are not in the target; their old ids are in the tag {MODELS_ELSEWHERE}"
        return [MODEL_LINKS.left(len(self._lost), why, tuple(sorted(set(self._lost))[:NAMED]))]

    def _split(
        self, wanted: tuple[ModelLink, ...], there: tuple[ModelLink, ...]
    ) -> tuple[list[tuple[str, int]], list[ModelLink]]:
        """The links to set, by the target's ids, and those whose models are not there."""
        known = {link.model_id for link in there}
        found = [(self._models.find(link.model_id), link) for link in wanted]
        missing = [(id, link.step) for id, link in found if id is not None and id not in known]
        return list(dict.fromkeys(missing)), [link for id, link in found if id is None]

    def _keep(self, copy: Copy, lost: dict[str, list[ModelLink]]) -> None:
        told = {name: [[link.model_id, link.step] for link in links] for name, links in lost.items() if links}
        self._lost += [link.model_id for links in lost.values() for link in links]
        value = json.dumps(told)
        if copy.tags_there.get(MODELS_ELSEWHERE) != value:
            self._writer.tag(copy, MODELS_ELSEWHERE, value)
