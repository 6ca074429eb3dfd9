"""What a package declares to bring workspaces of another sort: see `Backend`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from runsync.limits import UNLIMITED, Limits
from runsync.patience import Patience

if TYPE_CHECKING:
    from runsync.contract.workspace import Workspace
    from runsync.model.finding import Finding
    from runsync.model.place import Place

Role = Literal["source", "target"]


@dataclass(frozen=True, slots=True)
class Init:
    """Of a database without tables: the version of the MLflow that makes them ("": none does), and whether it does so
    now, or only would."""

    mlflow: str = ""
    makes: bool = False


NO_INIT = Init()


@dataclass(frozen=True, slots=True)
class Opening:
    """How a workspace is opened. `config` is the path of `runsync.toml` (None: the usual places), `workers` how many
    requests go side by side, `patience` how long to wait where nobody answers (None: as the environment says).

    `artifacts` is where the artifact root of a database or file store really is, when it cannot be reached as it is
    recorded. As a target a file store is made where there is none, and with `init` the tables of an empty database.
    """

    config: str | None = None
    workers: int = 8
    patience: Patience | None = None
    limits: Limits = UNLIMITED
    artifacts: str = ""
    role: Role = "source"
    init: Init = NO_INIT


@dataclass(frozen=True, slots=True)
class Backend:
    """One sort of workspace. Other packages bring theirs by an entry point in the group `runsync.workspaces`.

    `forms` are how its addresses are written, for people. `is_meant` says whether what was typed is one, spelled out or
    as a name of `runsync.toml` (its second argument is the path of that file); nothing is asked over the network.
    `open` raises WrongUsage, WorkspaceUnreachable, AccessDenied.

    What only some have: `plan_init` says what --init comes to at a target, before it is opened, with artifacts or
    without; and in a dry run. `approach` tells `doctor` what is known before anything is asked.
    """

    forms: tuple[str, ...]
    is_meant: Callable[[str, str | None], bool]
    open: Callable[[str, Opening], "Workspace"]
    plan_init: Callable[[str, Opening, bool, bool], Init] | None = None
    approach: "Callable[[str, str | None], tuple[Place, Iterator[Finding]]] | None" = None
