"""Options that are about one kind, as a verb was given them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runsync.errors import WrongUsage
from runsync.kinds import BY_NAME, KINDS
from runsync.kinds.kind import Option
from runsync.model.nearest import nearest
from runsync.model.selection import RUNS


def options_of(verb: str) -> Iterator[Option]:
    """Those that a verb takes."""
    return (option for kind in KINDS for option in kind.options if verb in option.verbs)


def check_kinds(names: Iterable[str]) -> None:
    """Raises WrongUsage for a name that is that of no kind."""
    known = (RUNS, *BY_NAME)
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f": did you mean “{near}”?" if near else ";"
            raise WrongUsage(f"there is no kind “{name}”{hint} Kinds are {', '.join(known)}")


def asked(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, by the names of options. Raises TypeError for one that the verb does not take, and
    WrongUsage for a value that cannot be read."""
    known = {option.name: option for option in options_of(verb)}
    for name in given:
        if name not in known:
            raise TypeError(f"{verb} takes no option “{name}”")
    return {name: known[name].parse(value) for name, value in given.items() if value}
