"""The logger of the package: silent until a program gives it a handler, and without the secrets in use."""

import logging

from runsync.secrecy import strike


def _without_secrets(record: logging.LogRecord) -> bool:
    record.msg, record.args = strike(record.getMessage()), ()
    return True


LOG = logging.getLogger("runsync")
LOG.addHandler(logging.NullHandler())
LOG.addFilter(_without_secrets)
WAITING = LOG.getChild("waiting")
"""Says why a command waits though it was not asked to."""
WAITING.addFilter(_without_secrets)
