"""SIGINT, SIGTERM and SIGHUP: the command tidies up and ends, whatever it waits for; and it ends in any case.

A signal that was ignored when the command began stays so: nohup, and jobs in the background of a script.

Python runs signal handlers in the main thread, between two of its steps. A main thread that is just about to wait for
a lock does not hear of a signal until it has the lock: it slept through one in 40 exports that were told to stop. So
another thread reads of each signal, by `signal.set_wakeup_fd`, and wakes the main thread until that has heard.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from runsync.cli import streams

GRACE = 10.0
"""Seconds to tidy up in after the first signal."""
_KNOCK = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """From `begin` to `end` the first signal raises KeyboardInterrupt in the main thread; further ones count for
    nothing, as many senders send twice. A command that has not ended GRACE seconds later is given up: `give_up` is
    called in another thread, and is to end the process."""

    def __init__(self, give_up: Callable[[], object]) -> None:
        self._give_up = give_up
        self.is_heard = False
        """Whether the main thread was told."""
        self._has_ended = threading.Event()

    def begin(self) -> None:
        """To be called in the main thread, once."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._hear)
        sys.unraisablehook = self._unraisable
        threading.Thread(target=self._watch, args=(read,), name="runsync-signals", daemon=True).start()

    def end(self) -> None:
        """No signal does anything any more."""
        self._has_ended.set()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.is_heard or self._has_ended.is_set():
            return
        if not streams.is_writing(frame):  # else `_watch` knocks again
            self.is_heard = True
            raise KeyboardInterrupt

    def _unraisable(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Where Python lets no exception out (a callback of a weak reference, say), the signal was not heard."""
        if unraisable.exc_type is KeyboardInterrupt:
            self.is_heard = False
        else:
            sys.__unraisablehook__(unraisable)

    def _watch(self, pipe: int) -> None:
        number = os.read(pipe, 1)[0]
        deadline = time.monotonic() + GRACE
        while not self._has_ended.wait(_KNOCK):
            if time.monotonic() > deadline:
                self._give_up()
                return
            if not self.is_heard:
                signal.pthread_kill(threading.main_thread().ident or 0, number)


def end_children() -> None:
    """Asks the programs that we have started (git, what logs in) to end with us: they hold our stderr open, for which
    whoever reads it would wait. Linux only; a terminal tells them of Ctrl-C itself."""
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for number in children.read_text().split():
                os.kill(int(number), signal.SIGTERM)
