"""The logger of the package: silent until a program gives it a handler, without the secrets in use, and with escapes
for bytes of names that are not UTF-8, so that every handler can write it."""

import logging

from runsync.secrecy import strike


def _fit(record: logging.LogRecord) -> bool:
    record.msg, record.args = strike(record.getMessage()).encode(errors="backslashreplace").decode(), ()
    return True


LOG = logging.getLogger("runsync")
LOG.addHandler(logging.NullHandler())
LOG.addFilter(_fit)
WAITING = LOG.getChild("waiting")
"""Says why a command waits though it was not asked to."""
WAITING.addFilter(_fit)
