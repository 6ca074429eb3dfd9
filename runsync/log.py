"""The logger of the package: silent until a program gives it a handler."""

import logging

LOG = logging.getLogger("runsync")
LOG.addHandler(logging.NullHandler())
