"""Which process wrote something, and whether it is provably gone.

A process id alone proves nothing: another container has the same ids, and a rebooted machine gives them out again. So a
process is known by the boot of its kernel, its pid namespace, its id there and its start time. All four can be read on
Linux; elsewhere, and where `/proc` shows another namespace, a process is never known to be gone.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

UNKNOWN = "unknown"
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """`boot` is the boot id (32 hex digits), `namespace` the inode numbers of its pid and time namespaces, `started`
    its start time in clock ticks since boot. `boot` is `UNKNOWN` where the system does not tell.
    """

    pid: int
    boot: str = UNKNOWN
    namespace: str = ""
    started: int = 0

    @property
    def token(self) -> str:
        """The same as a piece of a file name."""
        return f"{self.boot}.{self.namespace or 0}.{self.pid}.{self.started}"

    @classmethod
    def from_token(cls, token: str) -> "Process":
        """The reverse; a process of an unknown boot for any other text."""
        boot, _, rest = token.partition(".")
        namespace, _, numbers = rest.partition(".")
        pid, _, started = numbers.partition(".")
        if not (pid.isdecimal() and started.isdecimal()):
            return cls(0)
        return cls(int(pid), boot, namespace, int(started))

    @property
    def is_gone(self) -> bool:
        """True only if certain: it ran under this boot and in this namespace, and has ended."""
        return self._is_comparable and _start_of(self.pid) not in (None, self.started)

    @property
    def is_running(self) -> bool:
        """True only if certain."""
        return self._is_comparable and _start_of(self.pid) == self.started

    @property
    def _is_comparable(self) -> bool:
        us = here()
        return us.boot != UNKNOWN and (self.boot, self.namespace) == (us.boot, us.namespace)


def here() -> Process:
    """This process."""
    return _here(os.getpid())


@cache
def _here(pid: int) -> Process:
    with suppress(OSError, ValueError, IndexError):
        if str(_PROC.joinpath("self").readlink()) == str(pid):  # else /proc shows another namespace than ours
            boot = _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip().replace("-", "")
            started = _start_of(pid)
            if started:
                return Process(pid, boot, f"{_namespace('pid')}-{_namespace('time')}", started)
    return Process(pid)


def _namespace(kind: str) -> str:
    """The inode number in a link such as `pid:[4026531836]`; 0 for a kind that this kernel does not have."""
    try:
        return str(_PROC.joinpath("self/ns", kind).readlink()).partition("[")[2].rstrip("]")
    except FileNotFoundError:
        return "0"


def _start_of(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; 0 where there is none, None where that is hidden from us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except (OSError, OverflowError):
        pass  # another user's, or no process id of this system
    try:
        fields = _PROC.joinpath(str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
        state, threads, started = fields[0], int(fields[17]), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
    return 0 if state in "ZX" and threads <= 1 else started
