"""What a server refuses of a model or a version: for one tag or param it refuses a whole request. Those are named, and
the rest arrives, as with runs (see `rest.refused`)."""

from collections.abc import Callable, Container, Mapping

from runsync.errors import RequestRefused
from runsync.model.identity import is_ours
from runsync.model.run import Problem
from runsync.workspaces.rest.refused import MOST, is_of_entries

FIELD = "field"


def own_only(tags: Mapping[str, str], vital: Container[str] = ()) -> dict[str, str]:
    """The tags with which it is made where it cannot be made with all: our own, and those without which it would be of
    no use."""
    return {key: value for key, value in tags.items() if is_ours(key) or key in vital}


def send_all(kind: str, texts: Mapping[str, str], send: Callable[[Mapping[str, str]], None]) -> list[Problem]:
    """Sends params or tags together, and in halves where some are refused; gives those. Raises RequestRefused where it
    is not they that the server refuses."""
    if not texts:
        return []
    try:
        send(texts)
    except RequestRefused as error:
        if not is_of_entries(error):
            raise
        keys = list(texts)
        if len(keys) == 1:
            return [Problem(kind, keys[0], str(error))]
        problems: list[Problem] = []
        for some in keys[: len(keys) // 2], keys[len(keys) // 2 :]:
            problems += send_all(kind, {key: texts[key] for key in some}, send)
            if len(problems) > MOST:
                raise
        return problems
    return []
