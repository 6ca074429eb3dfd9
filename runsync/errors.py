"""Every error runsync raises, split by what the caller can do about it.

    RunsyncError                    1   it failed
    ├── WrongUsage                  2   correct the command, the selection or runsync.toml
    │   └── Ambiguous               2   a name or an id that means several: say which
    ├── NothingSelected             1   no such experiment or run
    ├── NoRoom                      1   the disk is full: make room
    ├── TooManyDeletions            4   a sync would delete more than it may: look at the source
    ├── TooManyChanges              4   more would be changed than --max-changes allows: look at the selection
    ├── OtherRunsSelected           4   not as many runs as --min-runs or --expect-runs say: a gate was not met
    ├── AliasTaken                  4   an alias was set by others than promotions, or moved meanwhile: look first
    ├── PlanOutdated                4   what a plan was made of has changed since: make another
    ├── Interrupted               130   somebody stopped it: run it again
    ├── BundleError
    │   ├── BundleNotFound         10   no bundle there, or no such snapshot in it
    │   │   └── BucketNotFound     10   no such bucket
    │   ├── BundleLocked           11   another process holds it
    │   └── BundleDamaged          12   broken, invalid, or of a newer version
    └── WorkspaceError             13
        ├── WorkspaceUnreachable   13   no answer, or not MLflow: the whole transfer stops
        └── RequestRefused         13   one request was refused: one item fails, the rest goes on
            ├── AccessDenied       13   wrong or missing credentials
            ├── TooMuch            13   the server does not manage so much at a time: ask for less
            │   └── AnswerTooLong  13   an answer has no end in sight: likewise
            └── ChangedMeanwhile   13   a file changed while it was read: read it from the start
                └── GrownMeanwhile 13   it has more bytes than it was listed with: list it again

Exit codes 0 (done), 3 (some items failed) and 4 (differences) are no errors: a report tells them.
"""

from collections.abc import Sequence

from runsync.secrecy import strike

MOST_SHOWN = 10
"""Candidates of an ambiguous name."""


class RunsyncError(Exception):
    """Base of all; `exit_code` is what the command line ends with. No message has a secret that is in use."""

    exit_code = 1
    may_go_on = True
    """Whether the same command may go on from where this stopped it."""

    def __init__(self, *told: object) -> None:
        super().__init__(*(strike(each) if isinstance(each, str) else each for each in told))

    @property
    def lines(self) -> tuple[str, ...]:
        """What to print: one line, whatever line ends a name in it has."""
        return (str(self),)


class WrongUsage(RunsyncError):
    """The caller asked for something that cannot be meant."""

    exit_code = 2


class BadFilter(WrongUsage):
    """A filter that cannot be read; `shown` are two lines: the filter, and a caret under the place."""

    def __init__(self, message: str, shown: tuple[str, str]) -> None:
        super().__init__("\n".join((message, *shown)))
        self._lines = (message, *shown)

    @property
    def lines(self) -> tuple[str, ...]:
        """The message, the filter and the caret."""
        return self._lines


class Ambiguous(WrongUsage):
    """A name or an id that means several; `candidates` are a line each, of which some are shown."""

    def __init__(self, message: str, candidates: Sequence[str]) -> None:
        shown = [f"  {one}" for one in candidates[:MOST_SHOWN]]
        if len(candidates) > MOST_SHOWN:
            shown.append(f"  … and {len(candidates) - MOST_SHOWN:,} more")
        super().__init__("\n".join((message, *shown)))
        self._lines = (message, *shown)

    @property
    def lines(self) -> tuple[str, ...]:
        """The message and the candidates."""
        return self._lines


class NothingSelected(RunsyncError):
    """A name or id that was asked for is not there."""


class NoRoom(RunsyncError):
    """A disk takes no more; what is finished stays."""


class TooManyDeletions(RunsyncError):
    """More would be deleted in the target than `--max-delete` allows; nothing was written."""

    exit_code = 4


class TooManyChanges(RunsyncError):
    """More would be deleted or restored than `--max-changes` allows; nothing was changed."""

    exit_code = 4


class OtherRunsSelected(RunsyncError):
    """The selection means fewer runs than `--min-runs`, or others than `--expect-runs`, say; nothing was written."""

    exit_code = 4


class AliasTaken(RunsyncError):
    """An alias names another version than it may for this promotion; it stays."""

    exit_code = 4


class PlanOutdated(RunsyncError):
    """The model, the gates or the alias are not any more what a plan tells; nothing was written."""

    exit_code = 4


class Interrupted(RunsyncError):
    """The transfer was stopped from outside; what is finished stays finished."""

    exit_code = 130


class BundleError(RunsyncError):
    """Something about a bundle."""

    exit_code = 12


class BundleNotFound(BundleError):
    """The place holds no bundle (or no finished snapshot)."""

    exit_code = 10


class BucketNotFound(BundleNotFound):
    """S3 has no such bucket: nothing can be read or made there."""


class BundleLocked(BundleError):
    """Another process holds the bundle."""

    exit_code = 11


class BundleDamaged(BundleError):
    """A file of the bundle is missing, broken, invalid or of a version this runsync does not read."""


class WorkspaceError(RunsyncError):
    """Something about a workspace. `topic` is that of a finding about it."""

    exit_code = 13
    topic = "connection"

    @property
    def told(self) -> str:
        """The message without what `remedy` says."""
        return str(self)

    def remedy(self, option: str) -> str:
        """What to do, where the message does not say it; `option` is what --init is called where this is read."""
        return ""


class WorkspaceUnreachable(WorkspaceError):
    """The address does not answer, stopped answering, or is not an MLflow server."""


class EndlessList(WorkspaceUnreachable):
    """The server repeats the pages of a list for ever: no other try ends otherwise."""

    may_go_on = False


TAKEN = "RESOURCE_ALREADY_EXISTS"
"""MLflow's error code for a name that is taken."""
ABSENT = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's error code for what is not there."""
UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
"""MLflow's error code for what may be there another time."""
_MAY_PASS = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 that say nothing of another try."""


class RequestRefused(WorkspaceError):
    """The server answered one request with an error.

    `status` is the HTTP status, `code` MLflow's error code (such as ABSENT; "" when it sent none).
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def may_pass(self) -> bool:
        """Whether another try may be granted what this one was not: not so of what is refused by a rule, or gone."""
        return self.status in _MAY_PASS or self.status >= 500 or self.code == UNAVAILABLE


class AccessDenied(RequestRefused):
    """HTTP 401 or 403."""

    topic = "access"


class TooMuch(RequestRefused):
    """The server does not manage as much as it was asked for, or sent, at a time."""

    may_pass = True


class AnswerTooLong(TooMuch):
    """More bytes than any answer has."""


class ChangedMeanwhile(RequestRefused):
    """A file changed while it was read: what came of it is of no use."""

    may_pass = True


class GrownMeanwhile(ChangedMeanwhile):
    """A file has more bytes than it was listed with; `rest` are those of the listed ones that were held back."""

    def __init__(self, message: str, rest: bytes = b"") -> None:
        super().__init__(message)
        self.rest = rest


ITEM_ERRORS = (RequestRefused, BundleDamaged)
"""What fails one item (a run, a file) and not the whole."""


def may_pass(error: object) -> bool:
    """Whether another try may go better than the one that ended so."""
    return isinstance(error, RequestRefused) and error.may_pass
