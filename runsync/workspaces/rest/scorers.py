"""Scorers of a server, with their versions and what they score online."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.scorers import SCORERS, OnlineScoring, Scorer, ScorerVersion
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.arrival.documents import is_no_place
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, listed, number, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments, active
from runsync.workspaces.rest.leftovers import NEEDS_ONE, ONE_BY_ONE, is_unknown
from runsync.workspaces.rest.search import chunks

NAMED_AT_MOST = 100
"""Experiments, and scorers, that an address may name."""


@wire.strict
def scorer(document: Json) -> Scorer:
    """One version of one, of scorers/list and scorers/versions. Raises OddAnswer."""
    home, name = identifier(document, "experiment_id"), text(document, "scorer_name")
    version = ScorerVersion(
        number(document, "scorer_version"),
        text(document, "serialized_scorer"),
        wire.moment(document, "creation_time"),
    )
    return Scorer(text(document, "scorer_id", "") or f"{home}/{name}", home, name, (version,))


@wire.strict
def online_scoring(document: Json) -> tuple[str, OnlineScoring]:
    """The id of a scorer, and what it scores online. Raises OddAnswer."""
    share = document["sample_rate"]
    one = OnlineScoring(
        text(document, "online_scoring_config_id", ""), float(share), text(document, "filter_string", "")
    )
    return identifier(document, "scorer_id"), one


class ServerScorers(ServerDocuments[Scorer]):
    """See `DocumentStore`. A version cannot be changed, and gets the number after the greatest one."""

    def __init__(self, client: Client) -> None:
        super().__init__(SCORERS, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[Scorer]:
        """See `DocumentStore`. With their last versions."""
        ids = active(experiments)
        return self.told(self._with_online(self._of(ids, is_asked))) if ids else iter(())

    def complete(self, item: Scorer) -> Scorer:
        """See `DocumentStore`. Earlier versions take a request."""
        if [each.version for each in item.versions] == [1]:
            return item
        answer = self.get("scorers/versions", experiment_id=item.experiment_id, name=item.name)
        versions = [one for found in listed(answer, "scorers") for one in scorer(found).versions]
        return replace(item, versions=tuple(sorted(versions, key=lambda one: one.version)))

    def find(self, wanted: Sequence[Scorer]) -> Iterable[Scorer]:
        """See `DocumentStore`."""
        homes, names = sorted({item.experiment_id for item in wanted}), {item.name for item in wanted}
        found = [one for one in self._of(homes, is_asked=True) if one.name in names]
        return [self.complete(one) for one in self._with_online(iter(found))]

    def create(self, wanted: Scorer) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        made, problems = self._add(wanted, 0)
        return made, [*problems, *self._set_online(wanted, Scorer(made, wanted.experiment_id, wanted.name))]

    def change(self, wanted: Scorer, there: Scorer) -> Sequence[Problem]:
        """See `DocumentStore`. Versions that only the target has stay."""
        has = there.numbered
        last = max(has, default=0)
        _, problems = self._add(wanted, last)
        for spare in wanted.spare(there):
            self._drop(wanted, version=spare)
        for one in wanted.versions:
            other = has.get(one.version)
            if one.version <= last and (other is None or other.meaning != one.meaning):
                why = "this number is gone there" if other is None else "another version has this number there"
                problems.append(Problem("version of scorer", str(one.version), f"{why}, and none can be changed"))
        return [*problems, *self._set_online(wanted, there)]

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        for one in self._of([experiment_id], is_asked=True):
            if one.scorer_id == id:
                self._drop(one)

    def _drop(self, item: Scorer, **version: int) -> None:
        try:
            body = {"experiment_id": item.experiment_id, "name": item.name, **version}
            self.send("DELETE", "scorers/delete", body)
        except RequestRefused as error:
            if error.code != ABSENT:
                raise

    def _add(self, wanted: Scorer, last: int) -> tuple[str, list[Problem]]:
        """Registers the versions after the last one that is there. A number that the source has no version of is given
        to one that is deleted again; so is that of a version which is refused."""
        problems: list[Problem] = []
        free: list[int] = []
        made = ""
        next_number = last + 1
        for one in (one for one in wanted.versions if one.version > last):
            try:
                while next_number < one.version:
                    made = self._register(wanted, one)
                    free.append(next_number)
                    next_number += 1
                made = self._register(wanted, one)
                next_number += 1
            except RequestRefused as error:
                if error.may_pass or is_no_place(error) or (not last and not made and one is wanted.versions[-1]):
                    raise
                problems.append(Problem("version of scorer", str(one.version), str(error)))
        for spare in free:
            self._drop(wanted, version=spare)
        return made, problems

    def _register(self, wanted: Scorer, version: ScorerVersion) -> str:
        body = {"experiment_id": wanted.experiment_id, "name": wanted.name, "serialized_scorer": version.serialized}
        return text(self.send("POST", "scorers/register", body, once=True), "scorer_id", "")

    def _set_online(self, wanted: Scorer, there: Scorer) -> list[Problem]:
        """A server has one for each scorer; none is one of no traces."""
        has = sorted(one.meaning for one in there.online)
        if has == sorted(one.meaning for one in wanted.online):
            return []
        share, filter_string = wanted.online[0].meaning if wanted.online else (0.0, "")
        body = {"experiment_id": wanted.experiment_id, "name": wanted.name, "sample_rate": share}
        body |= {"filter_string": filter_string} if filter_string else {}
        try:
            self.send("PUT", "scorers/online-config", body)
        except RequestRefused as error:
            if error.may_pass:
                raise
            return [Problem("online scoring of scorer", wanted.name, str(error))]
        further = "a server keeps one for each scorer"
        return [Problem("online scoring of scorer", wanted.name, further) for _ in wanted.online[1:]]

    def _of(self, experiment_ids: Sequence[str], is_asked: bool) -> Iterator[Scorer]:
        """The last versions. Since MLflow 3.13 one request lists those of several experiments; before it asks for one
        experiment at a time. More than an address may name, all are listed."""
        named = {"experiment_ids": list(experiment_ids)} if len(experiment_ids) <= NAMED_AT_MOST else {}
        homes = frozenset(experiment_ids)
        try:
            found = listed(self.get("scorers/list", **named), "scorers")
        except RequestRefused as error:
            if NEEDS_ONE not in str(error):
                raise
            if not is_asked:
                self.not_sought(ONE_BY_ONE)
                return
            found = [one for id in experiment_ids for one in listed(self._of_one(id), "scorers")]
        told = self.each("scorers", lambda _: {"scorers": found}, scorer)
        yield from (one for one in told if one.experiment_id in homes)

    def _of_one(self, experiment_id: str) -> Json:
        return self.get("scorers/list", experiment_id=experiment_id)

    def _with_online(self, found: Iterator[Scorer]) -> Iterator[Scorer]:
        for some in chunks(list(found), NAMED_AT_MOST):
            of = self._online([one.scorer_id for one in some])
            yield from (replace(one, online=tuple(of.get(one.scorer_id, ()))) for one in some)

    def _online(self, scorer_ids: Sequence[str]) -> Mapping[str, Sequence[OnlineScoring]]:
        """What scorers score online; nothing before MLflow 3.9, which has no such endpoint."""
        try:
            answer = self.get("scorers/online-configs", scorer_ids=list(scorer_ids))
        except RequestRefused as error:
            if not is_unknown(error):
                raise
            return {}
        of: dict[str, list[OnlineScoring]] = defaultdict(list)
        for found in listed(answer, "configs"):
            id, one = online_scoring(found)
            of[id].append(one)
        return of
