"""A process that is gone, as locks and temporary files tell of one."""

import subprocess
import sys

from runsync.bundle.processes import Process, here


def gone() -> Process:
    """Of this boot and namespace; its id is free again."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        return Process(process.pid, here().boot, here().namespace, here().started)


GONE = gone()
