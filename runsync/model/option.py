"""Options of verbs, declared once: what a keyword is in Python, how it stands on the command line, and what it does."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, cleandoc, get_annotations, signature
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, dataclass_transform, overload

from runsync.model.nearest import nearest

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
O = TypeVar("O")  # noqa: E741
R = TypeVar("R")
A_contra = TypeVar("A_contra", contravariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
O_contra = TypeVar("O_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Option:
    """What the annotation of a keyword holds: how it stands on the command line.

    `flag` is its name there, where it is not the keyword's own. One that is True or False is a flag without a value,
    which turns it round: `--no-artifacts` is `artifacts=False`. `between` are the least and the most of a number.
    `values` is how many words it takes.
    `parse` makes of a text (of all of them, of one that is `repeatable`) what the verb takes. It raises WrongUsage for
    what cannot be read, ValueError for what stands for it with the name of the option.
    """

    help: str
    metavar: str = ""
    flag: str = ""
    repeatable: bool = False
    between: tuple[int, int | None] | None = None
    choices: tuple[str, ...] = ()
    shows_default: bool = False
    values: int = 1
    parse: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword of a verb. `option` is None for one that the command line gives in other ways."""

    name: str
    annotation: Any
    default: Any
    option: Option | None

    @property
    def flag(self) -> str:
        """As it is typed."""
        return (self.option and self.option.flag) or f"--{self.name.replace('_', '-')}"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def group(made: type[O]) -> type[O]:
    """Makes of a class a group of options: a frozen dataclass, without what would cost each command's help its time."""
    return dataclass(frozen=True, kw_only=True, repr=False, eq=False, match_args=False)(made)


def keywords(of: Any) -> list[Keyword]:
    """Those of a group of options: of its first base first, its own before those."""
    defaults = {field.name: field.default for field in fields(of)}
    found: dict[str, Keyword] = {}
    for each in of.__mro__:
        for name, annotation in get_annotations(each).items():
            option = next(iter(getattr(annotation, "__metadata__", ())), None)
            plain = annotation.__origin__ if option else annotation
            found.setdefault(name, Keyword(name, plain, defaults[name], option))
    return list(found.values())


class MayTakeTwo(Protocol[A_contra, B_contra, O_contra, R_co]):
    """A verb whose second place need not be given."""

    def __call__(self, one: A_contra, two: B_contra = ..., /, *, options: O_contra) -> R_co:
        """Does it."""


class MayTakeThree(Protocol[A_contra, B_contra, C_contra, O_contra, R_co]):
    """Likewise, whose third need not be."""

    def __call__(self, one: A_contra, two: B_contra, three: C_contra = ..., /, *, options: O_contra) -> R_co:
        """Does it."""


class OneOrTwo(Protocol[A_contra, B_contra, P, R_co]):
    """A verb that takes a place, may take another thing, and takes options as keywords."""

    @overload
    def __call__(self, one: A_contra, /, *none: P.args, **options: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, one: A_contra, two: B_contra, /, *none: P.args, **options: P.kwargs) -> R_co: ...


class TwoOrThree(Protocol[A_contra, B_contra, C_contra, P, R_co]):
    """Likewise, with one more."""

    @overload
    def __call__(self, one: A_contra, two: B_contra, /, *none: P.args, **options: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self, one: A_contra, two: B_contra, three: C_contra, /, *none: P.args, **options: P.kwargs
    ) -> R_co: ...


class takes(Generic[P, O]):
    """Makes of a verb that takes places and a group of options one that takes the options as keywords.

    It raises TypeError for a keyword that is none of them, and for a switch that is neither True nor False.
    """

    def __init__(self, made: Callable[P, O]) -> None:
        self._made = made
        self._known = keywords(made)

    def __call__(self, verb: Callable[[A, B, O], R]) -> Callable[Concatenate[A, B, P], R]:
        """Of a verb whose first two are always given."""
        call: Callable[Concatenate[A, B, P], R] = self._around(verb)
        return call

    def first_of_two(self, verb: MayTakeTwo[A, B, O, R]) -> OneOrTwo[A, B, P, R]:
        """Of one whose second need not be given."""
        call: OneOrTwo[A, B, P, R] = self._around(verb)
        return call

    def two_of_three(self, verb: MayTakeThree[A, B, C, O, R]) -> TwoOrThree[A, B, C, P, R]:
        """Of one whose third need not be given."""
        call: TwoOrThree[A, B, C, P, R] = self._around(verb)
        return call

    def _around(self, verb: Any) -> Any:
        known = self._known
        places = list(signature(verb).parameters.values())[:-1]

        @wraps(verb)
        def call(*args: Any, **given: Any) -> Any:
            named = {place.name: given.pop(place.name) for place in places if place.name in given}
            _refuse_unknown(verb.__name__, given, [each.name for each in known])
            _refuse_no_switch(verb.__name__, given, known)
            return verb(*args, **named, options=self._made(**given))  # type: ignore[call-arg]

        told = [Parameter(k.name, Parameter.KEYWORD_ONLY, default=k.default, annotation=k.annotation) for k in known]
        call.__signature__ = signature(verb).replace(parameters=[*places, *told])  # type: ignore[attr-defined]
        call.__doc__ = f"{cleandoc(verb.__doc__ or '')}\n\n{_listed(known)}"
        return call


def _refuse_unknown(verb: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            near = nearest(name, known)
            raise TypeError(f"{verb} takes no option “{name}”" + (f": did you mean “{near}”?" if near else ""))


def _refuse_no_switch(verb: str, given: Mapping[str, object], known: Sequence[Keyword]) -> None:
    """A path given to `artifacts`, say, would mean no more than True."""
    for each in known:
        if each.annotation is bool and not isinstance(given.get(each.name, False), bool):
            raise TypeError(f"{verb} takes True or False for “{each.name}”, not {type(given[each.name]).__name__}")


def _listed(known: Sequence[Keyword]) -> str:
    lines = [f"    {each.name} ({each.flag}): {each.option.help}" for each in known if each.option]
    return "\n".join(["Options, with those of the command line:", *lines])
