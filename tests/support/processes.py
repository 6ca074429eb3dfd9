"""A process that is gone, as locks and temporary files tell of one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runsync.bundle import announced, local_store
from runsync.bundle.processes import Process, here


def gone() -> Process:
    """Of this boot and namespace; its id is free again."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        return Process(process.pid, here().boot, here().namespace, here().started)


GONE = gone()


@contextmanager
def run_as(process: Process) -> Iterator[None]:
    """What is written meanwhile is of that process, which runs until then."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (announced, local_store):
            patch.setattr(module, "here", lambda: process)
        patch.setattr(Process, "is_gone", False)
        yield
